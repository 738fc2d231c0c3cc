//! Byte offsets in this kernel's structures, from the types it carries.

use btf_rs::{Btf, Type};
use sentinel_common::config::Offsets;

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
        }
    }
}
