//! What this host offers: facts, without loading anything.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::{Resource, getrlimit};

use super::{OpenError, offsets};

/// `CGROUP2_SUPER_MAGIC`'s name in mountinfo.
const CGROUP2: &str = "cgroup2";

/// Capabilities that loading and attaching need, with their bits (include/uapi/linux/capability.h).
/// `CAP_SYS_ADMIN` stands for all of them on kernels before 5.8.
const NEEDED: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_NET_ADMIN", 12)];
const SYS_ADMIN: u32 = 21;

/// The running kernel's release, `(major, minor)`; `None` when it cannot be read as numbers.
#[must_use]
pub fn kernel_release() -> Option<(u32, u32)> {
    let release = release_text();
    let mut numbers = release.split(['.', '-', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

/// The running kernel's release as it calls itself.
#[must_use]
pub fn release_text() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Whether the kernel carries its types.
#[must_use]
pub fn has_btf() -> bool {
    Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// Whether the kernel has kprobes that a program can attach to.
#[must_use]
pub fn has_kprobes() -> bool {
    Path::new("/sys/bus/event_source/devices/kprobe/type").exists()
}

/// Whether traffic control has links for programs, which leave with their owner (since 6.6).
#[must_use]
pub fn has_tcx() -> bool {
    kernel_release().is_some_and(|release| release >= (6, 6))
}

/// v1 controllers whose tags take the place of a socket's cgroup2 pointer, which then reads as the root: those
/// that are mounted beside cgroup2, where this kernel does so.
/// KERNEL commit 8520e224f547 (5.15) gave the pointer a place of its own, `sock_cgroup_data.cgroup`. Debian's
/// 5.10 has it too, so the types are asked.
#[must_use]
pub fn displacing_tags() -> Vec<String> {
    if kernel_release().is_some_and(|release| release >= (5, 15)) || cgroups().is_err() {
        return Vec::new();
    }
    let mounted = mounted_tags(&fs::read_to_string("/proc/cgroups").unwrap_or_default());
    // Types are megabytes: asked last.
    if mounted.is_empty() || offsets::sockets_keep_their_cgroup() { Vec::new() } else { mounted }
}

/// cgroups(7): name, hierarchy, groups, whether it is enabled. One that is mounted with v1 has a hierarchy,
/// in whatever mount namespace; cgroup2 has neither of the two.
fn mounted_tags(cgroups: &str) -> Vec<String> {
    let tags = cgroups.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (name, hierarchy) = (fields.next()?, fields.next()?);
        (["net_cls", "net_prio"].contains(&name) && hierarchy != "0").then(|| name.to_owned())
    });
    tags.collect()
}

/// Why the kernel asks no BPF program before it makes a socket; `None` where it asks.
#[must_use]
pub fn lsm_gap() -> Option<String> {
    match security_modules() {
        Ok(list) if list.split(',').any(|module| module == "bpf") => None,
        Ok(list) => Some(format!(
            "bpf is not among the kernel's security modules: boot with lsm={list},bpf"
        )),
        Err(error) => Some(format!("the kernel's security modules cannot be listed: {error}")),
    }
}

/// The security modules that are asked, with commas between them. Where no securityfs is mounted, an
/// instance is opened that nobody else sees.
fn security_modules() -> io::Result<String> {
    let list = match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(list) => list,
        Err(_) => {
            let system = fsopen("securityfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(&system)?;
            let flags = FsMountFlags::FSMOUNT_CLOEXEC;
            let root = fsmount(&system, flags, MountAttrFlags::empty())?;
            let file = openat(&root, "lsm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            io::read_to_string(fs::File::from(file))?
        }
    };
    Ok(list.trim().to_owned())
}

/// Names of the needed capabilities that this process lacks.
#[must_use]
pub fn missing_capabilities() -> Vec<&'static str> {
    let effective = effective_capabilities().unwrap_or(0);
    if effective >> SYS_ADMIN & 1 == 1 && effective >> 12 & 1 == 1 {
        return Vec::new();
    }
    NEEDED.iter().filter(|(_, bit)| effective >> bit & 1 == 0).map(|(name, _)| *name).collect()
}

/// Whether maps may not be as large as ours: before 5.11, which charges them to the memory cgroup, they count as
/// locked memory, whose limit only `CAP_SYS_RESOURCE` lifts.
fn lacks_locked_memory() -> bool {
    const SYS_RESOURCE: u32 = 24;
    let is_old = kernel_release().is_some_and(|release| release < (5, 11));
    let may_lift = effective_capabilities().is_some_and(|set| set >> SYS_RESOURCE & 1 == 1);
    is_old && !may_lift && getrlimit(Resource::Memlock).maximum.is_some()
}

/// The effective set of /proc/self/status, bit by number.
#[must_use]
pub fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Where cgroup2 is mounted, and whether v1 controllers are mounted beside it (a hybrid host).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroups {
    /// The root of the cgroup2 hierarchy.
    pub root: PathBuf,
    /// Mount points of v1 controllers.
    pub v1: Vec<PathBuf>,
}

/// Reads the cgroup mounts of this process.
///
/// # Errors
/// [`OpenError::NoCgroup2`] when there is none.
pub fn cgroups() -> Result<Cgroups, OpenError> {
    let path = PathBuf::from("/proc/self/mountinfo");
    let text = fs::read_to_string(&path).map_err(|source| OpenError::Io { path, source })?;
    let (root, v1) = parse_cgroups(&text);
    Ok(Cgroups { root: root.ok_or(OpenError::NoCgroup2)?, v1 })
}

/// Where v1 hierarchies are mounted, also without cgroup2 beside them.
#[must_use]
pub fn v1_mounts() -> Vec<PathBuf> {
    parse_cgroups(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()).1
}

/// The number of the whole hierarchy's own cgroup: the first that a new kernfs hands out
/// (`kernfs_create_root`, fs/kernfs/dir.c). The root that a cgroup namespace shows has another.
pub(super) const ROOT_CGROUP: u64 = 1;

/// The cgroup that this process is in, as the mount at `root` shows it; `None` where it does not.
#[must_use]
pub(super) fn own_cgroup(root: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    // cgroups(7): cgroup2 is hierarchy 0, without controllers.
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    // Out of a namespace's root it leads by `/..`.
    (!path.contains("/..")).then(|| root.join(path.trim_start_matches('/')))
}

/// proc_pid_mountinfo(5): optional fields end with ` - `, then type, source and options. A mount
/// whose root is not `/` shows one subtree only and is no place to attach for the whole node.
fn parse_cgroups(mountinfo: &str) -> (Option<PathBuf>, Vec<PathBuf>) {
    let mut root = None;
    let mut v1 = Vec::new();
    for line in mountinfo.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let mut fields = front.split(' ').skip(3);
        let (Some(within), Some(mount)) = (fields.next(), fields.next()) else { continue };
        let mount = PathBuf::from(unescape(mount));
        match back.split(' ').next() {
            Some(CGROUP2) if within == "/" && root.is_none() => root = Some(mount),
            Some("cgroup") => v1.push(mount),
            _ => {}
        }
    }
    (root, v1)
}

/// Octal escapes of mountinfo: space, tab, newline and backslash.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Everything that must be so before a program is loaded.
///
/// # Errors
/// The first that is not so.
pub fn check() -> Result<(), OpenError> {
    match kernel_release() {
        Some(release) if release >= (5, 10) => {}
        _ => return Err(OpenError::TooOld { found: release_text() }),
    }
    let missing = missing_capabilities();
    if !missing.is_empty() {
        return Err(OpenError::Privileges { missing: missing.join(", ") });
    }
    if lacks_locked_memory() {
        return Err(OpenError::LockedMemory);
    }
    if !has_btf() {
        return Err(OpenError::NoBtf);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_cgroup2_on_a_hybrid_host() {
        let text = "30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                    31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                    41 30 0:37 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        let (root, v1) = parse_cgroups(text);
        assert_eq!(root.unwrap(), Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(v1, [PathBuf::from("/sys/fs/cgroup/cpu")]);
    }

    #[test]
    fn a_subtree_mounted_elsewhere_is_not_the_root() {
        let text = "41 30 0:37 /pod /mnt\\040x rw - cgroup2 cgroup2 rw\n\
                    42 30 0:37 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(parse_cgroups(text).0.unwrap(), Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_tag_counts_where_it_is_mounted() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nnet_cls\t7\t1\t1\nnet_prio\t0\t9\t1\n";
        assert_eq!(mounted_tags(text), ["net_cls"]);
        assert!(mounted_tags("net_cls\t0\t9\t1\nnet_cls\n").is_empty());
    }

    #[test]
    fn no_cgroup2_is_none() {
        let text = "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(parse_cgroups(text), (None, vec![PathBuf::from("/sys/fs/cgroup/cpu")]));
    }
}
