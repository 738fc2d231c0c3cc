//! What the kernel tells of processes: that one began, runs a program from now on, or has ended.
//!
//! These records go through a ring of their own, so that a node that starts thousands of programs a
//! second loses none of the events that tell of verdicts.

use crate::verdict::wire_enum;

/// Bytes for the names of a program's path, the last one first and each with its NUL.
pub const PATH_ROOM: usize = 512;
/// Bytes of a command line that are taken.
pub const ARGUMENTS_ROOM: usize = 512;
/// Steps up from a program's file, mounts included, before its path counts as cut.
pub const PATH_STEPS: usize = 24;
/// Bytes of the ring that carries these records; nobody is woken for them, they are fetched often.
pub const PROCESS_RING_BYTES: u32 = 4 * 1024 * 1024;

wire_enum! {
    /// What a record tells of.
    Change {
        /// A process began: as a copy of its parent.
        Fork = 1 => "fork",
        /// A process runs another program: the record is an [`Exec`].
        Exec = 2 => "exec",
        /// The last thread of a process ended.
        Exit = 3 => "exit",
    }
}

/// What every record begins with; of `Fork` and `Exit` it is all.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// When, nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// Start of the process, nanoseconds since boot.
    pub start_time: u64,
    /// The same of its parent; of `Exit` 0.
    pub parent_start: u64,
    /// Thread group id.
    pub tgid: u32,
    /// The same of its parent; of `Exit` 0.
    pub parent: u32,
    /// A [`Change`].
    pub change: u32,
    /// Its number in its own pid namespace; 0 when unknown, 1 is a container's first process.
    pub inner: u32,
}

/// A program that a process runs from now on. What is not in use of the rooms is left as it was
/// found: zeroing a thousand bytes would cost more than all else.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Of the process.
    pub head: Head,
    /// Inode number of the program's file.
    pub inode: u64,
    /// Its device, as the kernel numbers it: minor in the lower 20 bits.
    pub device: u32,
    /// Its names in folders; 0 when it was removed or never had one.
    pub links: u32,
    /// Bytes of `path` in use.
    pub path_len: u32,
    /// Bytes of `arguments` in use.
    pub arguments_len: u32,
    /// [`Exec::PATH_CUT`], [`Exec::ARGUMENTS_CUT`]
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// Names from the file upwards, each with its NUL.
    pub path: [u8; PATH_ROOM],
    /// Arguments, each with its NUL.
    pub arguments: [u8; ARGUMENTS_ROOM],
}

impl Exec {
    /// Folders are missing in front.
    pub const PATH_CUT: u32 = 1;
    /// Arguments are missing at the end, or could not be read.
    pub const ARGUMENTS_CUT: u32 = 2;
}

/// Byte offsets in this kernel's structures, from its BTF, of what tells of processes. None of them is
/// looked at while `complete` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskOffsets {
    /// 1 when every one of them was found.
    pub complete: u32,
    /// `task_struct.tgid`
    pub tgid: u32,
    /// `task_struct.real_parent`
    pub real_parent: u32,
    /// `task_struct.signal`
    pub signal: u32,
    /// `signal_struct.live`
    pub live: u32,
    /// `task_struct.thread_pid`
    pub thread_pid: u32,
    /// `pid.level`
    pub level: u32,
    /// `pid.numbers`
    pub numbers: u32,
    /// Size of `struct upid`.
    pub number_size: u32,
    /// `upid.nr`
    pub number: u32,
    /// `task_struct.mm`
    pub mm: u32,
    /// `mm_struct.arg_start`
    pub arg_start: u32,
    /// `mm_struct.arg_end`
    pub arg_end: u32,
    /// `mm_struct.exe_file`
    pub exe_file: u32,
    /// `file.f_inode`
    pub inode: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `inode.i_nlink`
    pub links: u32,
    /// `inode.i_sb`
    pub superblock: u32,
    /// `super_block.s_dev`
    pub device: u32,
    /// `file.f_path.mnt`
    pub file_mount: u32,
    /// `file.f_path.dentry`
    pub file_dentry: u32,
    /// `dentry.d_parent`
    pub dentry_parent: u32,
    /// `dentry.d_name.name`
    pub dentry_name: u32,
    /// `mount.mnt`
    pub mount: u32,
    /// `mount.mnt.mnt_root`
    pub mount_root: u32,
    /// `mount.mnt_parent`
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`
    pub mount_point: u32,
    /// Keeps the whole a multiple of eight bytes; zero.
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<Head>() == 40);
    assert!(size_of::<Exec>() == 40 + 32 + PATH_ROOM + ARGUMENTS_ROOM);
    assert!(size_of::<TaskOffsets>() == 28 * 4);
    assert!(PATH_ROOM.is_power_of_two() && ARGUMENTS_ROOM.is_power_of_two());
    assert!(PROCESS_RING_BYTES.is_power_of_two());
};
