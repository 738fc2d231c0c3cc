//! Byte offsets in this kernel's structures, from the types it carries.

use btf_rs::{Btf, Type};
use sentinel_common::config::Offsets;
use sentinel_common::process::TaskOffsets;

/// Looks up every offset; one that is not found stays 0, and what needs it is left out.
pub(super) fn find() -> Offsets {
    let Ok(btf) = Btf::from_file("/sys/kernel/btf/vmlinux") else {
        return Offsets::default();
    };
    let task = |field| member(&btf, "task_struct", field).unwrap_or(0);
    let sock = |field| member(&btf, "sock_common", field).unwrap_or(0);
    Offsets {
        group_leader: task("group_leader"),
        start_boottime: task("start_boottime"),
        skc_daddr: sock("skc_daddr"),
        skc_rcv_saddr: sock("skc_rcv_saddr"),
        skc_dport: sock("skc_dport"),
        skc_num: sock("skc_num"),
        skc_family: sock("skc_family"),
        skc_v6_daddr: sock("skc_v6_daddr"),
        skc_v6_rcv_saddr: sock("skc_v6_rcv_saddr"),
        skc_cookie: sock("skc_cookie"),
        skc_net: sock("skc_net"),
        net_user_ns: member(&btf, "net", "user_ns").unwrap_or(0),
        user_ns_level: member(&btf, "user_namespace", "level").unwrap_or(0),
        net_inum: net_inum(&btf).unwrap_or(0),
    }
}

/// Looks up what tells of processes: all of it or nothing, for half of a path is none.
pub(super) fn tasks() -> TaskOffsets {
    let btf = Btf::from_file("/sys/kernel/btf/vmlinux").ok();
    btf.and_then(|btf| of_tasks(&btf)).unwrap_or_default()
}

fn of_tasks(btf: &Btf) -> Option<TaskOffsets> {
    let at = |structure, field| member(btf, structure, field);
    let mount = at("mount", "mnt")?;
    let path = at("file", "f_path")?;
    // Of a kernel that does not tell when a process started nothing is told apart.
    at("task_struct", "start_boottime")?;
    Some(TaskOffsets {
        complete: 1,
        tgid: at("task_struct", "tgid")?,
        real_parent: at("task_struct", "real_parent")?,
        signal: at("task_struct", "signal")?,
        live: at("signal_struct", "live")?,
        thread_pid: at("task_struct", "thread_pid")?,
        level: at("pid", "level")?,
        numbers: at("pid", "numbers")?,
        number_size: size(btf, "upid")?,
        number: at("upid", "nr")?,
        mm: at("task_struct", "mm")?,
        arg_start: at("mm_struct", "arg_start")?,
        arg_end: at("mm_struct", "arg_end")?,
        exe_file: at("mm_struct", "exe_file")?,
        inode: at("file", "f_inode")?,
        inode_number: at("inode", "i_ino")?,
        links: at("inode", "i_nlink")?,
        superblock: at("inode", "i_sb")?,
        device: at("super_block", "s_dev")?,
        file_mount: path + at("path", "mnt")?,
        file_dentry: path + at("path", "dentry")?,
        dentry_parent: at("dentry", "d_parent")?,
        dentry_name: at("dentry", "d_name")? + at("qstr", "name")?,
        mount,
        mount_root: mount + at("vfsmount", "mnt_root")?,
        mount_parent: at("mount", "mnt_parent")?,
        mount_point: at("mount", "mnt_mountpoint")?,
        reserved: 0,
    })
}

/// Whether a socket's cgroup2 pointer has a place that nothing else may take.
pub(super) fn sockets_keep_their_cgroup() -> bool {
    let btf = Btf::from_file("/sys/kernel/btf/vmlinux").ok();
    btf.is_some_and(|btf| member(&btf, "sock_cgroup_data", "cgroup").is_some())
}

fn size(btf: &Btf, structure: &str) -> Option<u32> {
    let found = btf.resolve_types_by_name(structure).ok()?;
    found.into_iter().find_map(|found| match found {
        Type::Struct(found) => Some(found.size() as u32),
        _ => None,
    })
}

/// `net.ns.inum`: the number in `/proc/PID/ns/net`.
fn net_inum(btf: &Btf) -> Option<u32> {
    Some(member(btf, "net", "ns")? + member(btf, "ns_common", "inum")?)
}

/// Offset of a member, in bytes, members of anonymous structs and unions included.
fn member(btf: &Btf, structure: &str, name: &str) -> Option<u32> {
    btf.resolve_types_by_name(structure)
        .ok()?
        .into_iter()
        .find_map(|found| within(btf, &found, name, 0))
}

/// `depth` bounds the descent: kernel headers nest anonymous members four deep at most.
fn within(btf: &Btf, found: &Type, name: &str, depth: u32) -> Option<u32> {
    let (Type::Struct(outer) | Type::Union(outer)) = found else { return None };
    if depth > 8 {
        return None;
    }
    for inner in &outer.members {
        let at = inner.bit_offset() / 8;
        let called = btf.resolve_name(inner).unwrap_or_default();
        if called == name {
            return Some(at);
        }
        if called.is_empty()
            && let Ok(kind) = btf.resolve_chained_type(inner)
            && let Some(deeper) = within(btf, &kind, name, depth + 1)
        {
            return Some(at + deeper);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_the_offsets_of_this_kernel_or_none() {
        let offsets = super::find();
        if super::super::platform::has_btf() {
            assert!(offsets.start_boottime > 0, "task_struct.start_boottime was not found");
            assert!(offsets.skc_num > 0, "sock_common.skc_num was not found");
            assert!(offsets.skc_cookie > 0, "sock_common.skc_cookie was not found");
            assert!(offsets.skc_net > 0, "sock_common.skc_net was not found");
            assert!(offsets.net_user_ns > 0, "net.user_ns was not found");
            assert!(offsets.user_ns_level > 0, "user_namespace.level was not found");
            assert!(offsets.net_inum > 0, "net.ns.inum was not found");
            assert!(super::sockets_keep_their_cgroup(), "sock_cgroup_data.cgroup was not found");
            assert_eq!(super::tasks().complete, 1, "a structure of tasks or files was not found");
        }
    }
}
