//! Calls that no crate offers in a safe form: the only `unsafe` of this crate.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Commands of bpf(2) (include/uapi/linux/bpf.h).
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const PROG_QUERY: libc::c_long = 16;
const LINK_UPDATE: libc::c_long = 29;
const LINK_DETACH: libc::c_long = 34;

/// `struct bpf_link_info` of a cgroup's link, as far as it is read; a kernel that knows more leaves the
/// rest out.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    reserved: u32,
    cgroup: u64,
    attach_type: u32,
    reserved_too: u32,
}

/// What `BPF_OBJ_GET_INFO_BY_FD` takes.
#[repr(C)]
#[derive(Clone, Copy)]
struct Query {
    link: i32,
    length: u32,
    info: u64,
}

/// What `BPF_PROG_QUERY` takes; `found` also says how many fit.
#[repr(C)]
#[derive(Clone, Copy)]
struct ProgramQuery {
    cgroup: i32,
    attach_type: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    found: u32,
    padding: u32,
}

/// Programs on one hook of one cgroup; the kernel takes no more (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;

/// Has all threads share one heap. Each would get its own, and what a thread that has ended freed there, such as
/// thousands of policies as they were before, would be nobody's to use again: a third of the agent's memory in
/// a large cluster.
pub fn share_heap() {
    // SAFETY: it sets a number of the allocator's, and nobody else sets any. Where it is refused nothing changes.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Registers a map's descriptor with the runtime.
pub(super) fn register<T: AsRawFd>(source: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: every caller hands over a ring buffer, which owns its descriptor, keeps it open as
    // long as it lives, and always returns the same one.
    unsafe { AsyncFd::register_with_interest(source, Interest::READABLE) }.map_err(io::Error::from)
}

/// Opens what is pinned there.
pub(super) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = [path.as_ptr() as u64, 0];
    let descriptor = bpf(OBJ_GET, &mut attributes)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Gives a link a name on a bpffs.
pub(super) fn pin(link: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let descriptor = u64::try_from(link.as_raw_fd()).map_err(io::Error::other)?;
    bpf(OBJ_PIN, &mut [path.as_ptr() as u64, descriptor]).map(drop)
}

/// Numbers of the programs that are attached to this hook of this very cgroup (`enum bpf_attach_type`).
pub(super) fn programs_on(cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut query = [ProgramQuery {
        cgroup: cgroup.as_raw_fd(),
        attach_type,
        flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        found: MAX_PROGRAMS as u32,
        padding: 0,
    }];
    bpf(PROG_QUERY, &mut query)?;
    let [query] = query;
    Ok(ids.into_iter().take(query.found as usize).collect())
}

/// Has a link run another program from now on: there is no moment without one (kernel/bpf/cgroup.c,
/// `cgroup_bpf_replace`; since 5.7).
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = [link.as_raw_fd(), program.as_raw_fd(), 0, 0];
    bpf(LINK_UPDATE, &mut attributes).map(drop)
}

/// Takes a link off its cgroup; it is gone when this returns (since 5.9).
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    bpf(LINK_DETACH, &mut [link.as_raw_fd()]).map(drop)
}

/// Id of the cgroup that a link is on; 0 when that is gone.
pub(super) fn cgroup_of_link(link: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = LinkInfo::default();
    let attributes = Query {
        link: link.as_raw_fd(),
        length: size_of::<LinkInfo>() as u32,
        info: &raw mut info as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut [attributes])?;
    Ok(info.cgroup)
}

fn bpf<T: Copy, const N: usize>(command: libc::c_long, attributes: &mut [T; N]) -> io::Result<i32> {
    let size = size_of::<[T; N]>();
    // SAFETY: the attributes are integers that outlive the call, as long as is said. Addresses among
    // them are of a text that ends with zero, or of a `LinkInfo` or an array of numbers with its length,
    // all alive here.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as i32) }
}
