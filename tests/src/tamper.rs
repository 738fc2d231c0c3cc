//! What somebody does to an agent's hooks and maps, with privileges and without.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, Map, MapData, MapInfo};
use rustix::process::{Uid, WaitOptions};

use sentinel_common::config::Config;

use crate::netlab::{self, Netlink};
use crate::sys;

/// Commands of bpf(2) (include/uapi/linux/bpf.h).
const PROG_DETACH: i64 = 9;
const OBJ_GET_INFO_BY_FD: i64 = 15;
const MAP_FREEZE: i64 = 22;
const LINK_GET_FD_BY_ID: i64 = 30;
const LINK_GET_NEXT_ID: i64 = 31;
const LINK_DETACH: i64 = 34;
/// `BPF_LINK_TYPE_CGROUP`, `BPF_LINK_TYPE_TCX`.
const CGROUP: u32 = 3;
const TCX: u32 = 11;
/// Numbers of all hooks on a cgroup that an agent uses (`enum bpf_attach_type`).
const ATTACH_TYPES: [u32; 7] = [0, 1, 2, 10, 11, 14, 15];
const NOBODY: u32 = 65_534;

/// Detaches every link on this cgroup, as root may; how many there were.
///
/// # Errors
/// When the kernel refuses.
pub fn detach_all(cgroup: &Path) -> Result<usize> {
    let wanted = cgroup.metadata()?.ino();
    detach_where(|kind, on| (kind, on) == (CGROUP, wanted))
}

/// Takes away what judges at this end of a wire, in the calling thread's network namespace: a link, or the
/// filters with all that holds them.
///
/// # Errors
/// When the kernel refuses, or there is neither.
pub fn unwire(interface: &str) -> Result<()> {
    let wanted = u64::from(netlab::interface_index(interface)?);
    if detach_where(|kind, on| kind == TCX && on & 0xffff_ffff == wanted)? == 0 {
        Netlink::open()?.remove_clsact(interface)?;
    }
    Ok(())
}

fn detach_where(is_meant: impl Fn(u32, u64) -> bool) -> Result<usize> {
    let (mut id, mut count) = (0, 0);
    loop {
        let mut next = [id, 0_u32, 0];
        if sys::bpf(LINK_GET_NEXT_ID, &mut next).is_err() {
            return Ok(count);
        }
        [_, id, _] = next;
        // One that ends meanwhile is none.
        let Ok(link) = sys::bpf_open(LINK_GET_FD_BY_ID, &mut [id, 0, 0]) else { continue };
        let (kind, on) = about(&link)?;
        if is_meant(kind, on) {
            let link = u32::try_from(link.as_raw_fd())?;
            sys::bpf(LINK_DETACH, &mut [link]).context("a link cannot be detached")?;
            count += 1;
        }
    }
}

/// Type of a link, and what it is on, a cgroup's number or an interface's: `struct bpf_link_info` as words.
fn about(link: &OwnedFd) -> Result<(u32, u64)> {
    let mut info = [0_u64; 4];
    let size = u64::try_from(size_of_val(&info))?;
    let descriptor = u64::try_from(link.as_raw_fd())?;
    let mut words = [descriptor | size << 32, info.as_mut_ptr() as u64];
    sys::bpf(OBJ_GET_INFO_BY_FD, &mut words)?;
    let [kind, _, on, _] = info;
    Ok((kind as u32, on))
}

/// Writes over what an agent has told its programs to do, as root may.
///
/// # Errors
/// When the agent has no such map, or the kernel refuses.
pub fn write_over(agent: u32, change: impl FnOnce(Config) -> Config) -> Result<()> {
    let mut map: Array<MapData, Config> = Map::from_map_data(config(agent)?)?.try_into()?;
    let told = map.get(&0, 0)?;
    Ok(map.set(0, change(told), 0)?)
}

/// Has the kernel refuse any further word to an agent's programs, from the agent too.
///
/// # Errors
/// As for [`write_over`].
pub fn freeze(agent: u32) -> Result<()> {
    let map = config(agent)?;
    let map = u32::try_from(map.fd().as_fd().as_raw_fd())?;
    sys::bpf(MAP_FREEZE, &mut [map]).map(drop).context("the map cannot be frozen")
}

/// The map of an agent's that says what is in force.
fn config(agent: u32) -> Result<MapData> {
    for file in fs::read_dir(format!("/proc/{agent}/fdinfo"))? {
        let about = fs::read_to_string(file?.path()).unwrap_or_default();
        let id = about.lines().find_map(|line| line.strip_prefix("map_id:"));
        let Some(id) = id.and_then(|id| id.trim().parse().ok()) else { continue };
        if MapInfo::from_id(id)?.name_as_str() == Some("CONFIG") {
            return Ok(MapData::from_id(id)?);
        }
    }
    bail!("the process {agent} has no map of that name")
}

/// Tries the old call that takes programs off a cgroup by its folder alone, as a user without any
/// privilege; for how many hooks it was done.
///
/// # Errors
/// When it cannot be tried.
pub fn detach_as_nobody(cgroup: &Path) -> Result<usize> {
    let directory = File::open(cgroup)?;
    let target = u32::try_from(directory.as_raw_fd())?;
    let (heard, told) = rustix::pipe::pipe()?;
    let child = sys::forked(|| {
        let done = detach_as(NOBODY, target);
        // Who reads finds nothing, and says so.
        let _ = done.map(|count| rustix::io::write(&told, &[count]));
    })?;
    drop(told);
    rustix::process::waitpid(Some(child), WaitOptions::empty())?.context("no child")?;
    let mut count = [0];
    ensure!(rustix::io::read(&heard, &mut count)? == 1, "the child did not become another user");
    let [count] = count;
    Ok(usize::from(count))
}

fn detach_as(user: u32, cgroup: u32) -> io::Result<u8> {
    rustix::thread::set_thread_groups(&[])?;
    let user = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(user, user, user)?;
    let detached =
        |attach_type: &u32| sys::bpf(PROG_DETACH, &mut [cgroup, 0, *attach_type, 0]).is_ok();
    Ok(ATTACH_TYPES.iter().map(|it| u8::from(detached(it))).sum())
}
