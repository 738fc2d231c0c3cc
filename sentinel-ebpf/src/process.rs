//! Who is who: processes that begin, run another program, or end. Raw tracepoints, since they are the
//! cheapest there are; `current` is the parent of a process that begins, and else the process.
//!
//! Nobody is woken for a record: userspace fetches them many times a second and waits with an event
//! until it has.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use aya_ebpf::programs::RawTracePointContext;
use sentinel_common::config::{Config, Offsets};
use sentinel_common::process::{
    ARGUMENTS_ROOM, Change, Exec, Head, PATH_ROOM, PATH_STEPS, TaskOffsets,
};
use sentinel_common::verdict::Loss;

use crate::context::{self, as_found, read_kernel, read_text, read_user, task};
use crate::emit::lose;
use crate::maps::{CONFIG, PROCESSES, PROCESSES_LOST};

/// `BPF_RB_NO_WAKEUP` (include/uapi/linux/bpf.h).
const NO_WAKEUP: u64 = 1;

/// match-proto v5.10 include/trace/events/sched.h:
/// `TP_PROTO(struct task_struct *parent, struct task_struct *child)`
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    let (parent, child) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    if let Some(config) = config() {
        let leader = field::<u64>(child, config.offsets.group_leader);
        // Else it is a thread.
        if leader == child {
            tell(|record: &mut Head| {
                *record = head(config, Change::Fork, child);
                with_parent(config, record, parent);
            });
        }
    }
    0
}

/// match-proto v5.10 include/trace/events/sched.h:
/// `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(ctx: RawTracePointContext) -> i32 {
    let process = ctx.arg::<u64>(0);
    if let Some(config) = config() {
        tell(|record: &mut Exec| {
            record.head = head(config, Change::Exec, process);
            with_parent(config, &mut record.head, field(process, config.tasks.real_parent));
            record.flags = 0;
            record.reserved = 0;
            let mm = field(process, config.tasks.mm);
            program(&config.tasks, record, field(mm, config.tasks.exe_file));
            arguments(&config.tasks, record, mm);
        });
    }
    0
}

/// match-proto v5.10 include/trace/events/sched.h: `TP_PROTO(struct task_struct *p)`; with `bool
/// group_dead` since 6.16.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(_: RawTracePointContext) -> i32 {
    if let Some(config) = config() {
        let signal = field::<u64>(task(), config.tasks.signal);
        // Others of its threads live on, whichever ends.
        if field::<u32>(signal, config.tasks.live) == 0 {
            tell(|record: &mut Head| *record = head(config, Change::Exit, task()));
        }
    }
    0
}

/// The configuration, where this kernel's structures are known.
#[inline(always)]
fn config() -> Option<&'static Config> {
    CONFIG.get(0).filter(|config| config.tasks.complete != 0)
}

#[inline(always)]
fn field<T: Copy + Default>(base: u64, offset: u32) -> T {
    read_kernel(base.wrapping_add(u64::from(offset)))
}

#[inline(always)]
fn tell<T: 'static>(write: impl FnOnce(&mut T)) {
    let entry: Option<RingBufEntry<T>> = PROCESSES.reserve(0);
    let Some(mut entry) = entry else {
        if let Some(lost) = PROCESSES_LOST.get_ptr_mut(0) {
            context::increment_exactly(lost);
        }
        lose(Loss::Process);
        return;
    };
    write(as_found(&mut entry));
    entry.submit(NO_WAKEUP);
}

/// Start of a thread group, and its number.
#[inline(always)]
fn identity(offsets: &Offsets, tasks: &TaskOffsets, process: u64) -> (u64, u32) {
    let leader = field::<u64>(process, offsets.group_leader);
    (field(leader, offsets.start_boottime), field(leader, tasks.tgid))
}

#[inline(always)]
fn head(config: &Config, change: Change, process: u64) -> Head {
    let (start_time, tgid) = identity(&config.offsets, &config.tasks, process);
    let inner = inner(&config.tasks, process);
    let time = context::now();
    Head { time, start_time, parent_start: 0, tgid, parent: 0, change: change as u32, inner }
}

#[inline(always)]
fn with_parent(config: &Config, record: &mut Head, parent: u64) {
    (record.parent_start, record.parent) = identity(&config.offsets, &config.tasks, parent);
}

/// The number of a task in the innermost pid namespace that it is in.
#[inline(always)]
fn inner(tasks: &TaskOffsets, process: u64) -> u32 {
    let pid = field::<u64>(process, tasks.thread_pid);
    let level = field::<u32>(pid, tasks.level);
    let at = level.wrapping_mul(tasks.number_size).wrapping_add(tasks.numbers);
    field(pid, at.wrapping_add(tasks.number))
}

/// Which file a process runs, and where it is. There is no helper that tells a path to a tracepoint, so
/// its names are gathered as `d_path` (fs/d_path.c) does it: from the file up, over each mount's root
/// to where it is mounted.
#[inline(always)]
fn program(tasks: &TaskOffsets, record: &mut Exec, file: u64) {
    let inode = field::<u64>(file, tasks.inode);
    record.inode = field(inode, tasks.inode_number);
    record.links = field(inode, tasks.links);
    record.device = field(field(inode, tasks.superblock), tasks.device);
    record.path_len = 0;
    let mut dentry = field::<u64>(file, tasks.file_dentry);
    let mut mount = field::<u64>(file, tasks.file_mount).wrapping_sub(u64::from(tasks.mount));
    for _ in 0..PATH_STEPS {
        if dentry == field::<u64>(mount, tasks.mount_root) {
            let above = field::<u64>(mount, tasks.mount_parent);
            if above == mount || above == 0 {
                return;
            }
            dentry = field(mount, tasks.mount_point);
            mount = above;
            continue;
        }
        let at = record.path_len;
        let name = field(dentry, tasks.dentry_name);
        let len = read_text(name, &mut record.path, at);
        record.path_len = at.wrapping_add(len);
        if len == 0 || record.path_len >= PATH_ROOM as u32 / 2 {
            break;
        }
        let above = field::<u64>(dentry, tasks.dentry_parent);
        if above == dentry {
            // In no folder: it is of memory.
            return;
        }
        dentry = above;
    }
    record.flags |= Exec::PATH_CUT;
}

/// The arguments, as they lie behind each other on a new program's stack.
#[inline(always)]
fn arguments(tasks: &TaskOffsets, record: &mut Exec, mm: u64) {
    let start = field::<u64>(mm, tasks.arg_start);
    let len = field::<u64>(mm, tasks.arg_end).wrapping_sub(start);
    let room = ARGUMENTS_ROOM as u64;
    let taken = if len > room { room } else { len };
    record.arguments_len = taken as u32;
    if taken == 0 {
        return;
    }
    if !read_user(start, &mut record.arguments, taken as u32) {
        record.arguments_len = 0;
    }
    if u64::from(record.arguments_len) < len {
        record.flags |= Exec::ARGUMENTS_CUT;
    }
}
