//! Which program goes where.

use std::fs::File;
use std::path::Path;

use aya::Ebpf;
use aya::programs::{
    CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, KProbe,
    ProgramError, RawTracePoint,
    links::{FdLink, LinkError},
};

use super::{Attachment, OpenError, lsm, object, platform};

/// Always through a link, which the kernel treats as `BPF_F_ALLOW_MULTI`; the flags of links must
/// be 0, which aya calls `Single`. The old attachment call is never used: anybody with the
/// directory open may undo it.
const LINK: CgroupAttachMode = CgroupAttachMode::Single;

/// What judges: every hook on the cgroup in the order in which they are attached, each with its number in
/// `enum bpf_attach_type` (include/uapi/linux/bpf.h).
pub(super) const HOOKS: [(&str, u32); 7] = [
    ("connect4", 10),
    ("connect6", 11),
    ("sendmsg4", 14),
    ("sendmsg6", 15),
    ("sock_create", 2),
    ("egress", 1),
    ("ingress", 0),
];
const SOCK_ADDR: [&str; 4] = ["connect4", "connect6", "sendmsg4", "sendmsg6"];
const KPROBES: [&str; 2] = ["tcp_connect", "inet_csk_listen_start"];
const PROCESSES: [(&str, &str); 3] = [
    ("process_exit", "sched_process_exit"),
    ("process_exec", "sched_process_exec"),
    ("process_fork", "sched_process_fork"),
];
const STAND_IN: &str = "inet_sock_set_state";

/// Attaches everything to `cgroup` and to the kernel's probes.
pub(super) fn attach_all(ebpf: &mut Ebpf, cgroup: &Path) -> Result<Vec<Attachment>, OpenError> {
    let directory = File::open(cgroup)
        .map_err(|source| OpenError::Io { path: cgroup.to_path_buf(), source })?;
    let mut attached = Vec::new();
    let target = cgroup.display().to_string();
    // The connect hooks first: a flow that the packet hooks see already has an owner then.
    for name in SOCK_ADDR {
        object::load(ebpf, name)?;
        let program: &mut CgroupSockAddr = typed(ebpf, name)?;
        program.attach(&directory, LINK).map(drop).map_err(|error| refused(name, &error))?;
        attached.push(entry(name, &target, None));
    }
    object::load(ebpf, "sock_create")?;
    let program: &mut CgroupSock = typed(ebpf, "sock_create")?;
    program.attach(&directory, LINK).map(drop).map_err(|error| refused("sock_create", &error))?;
    attached.push(entry("sock_create", &target, None));
    for (name, kind) in
        [("egress", CgroupSkbAttachType::Egress), ("ingress", CgroupSkbAttachType::Ingress)]
    {
        object::load(ebpf, name)?;
        let program: &mut CgroupSkb = typed(ebpf, name)?;
        program.attach(&directory, kind, LINK).map(drop).map_err(|error| refused(name, &error))?;
        attached.push(entry(name, &target, None));
    }
    attached.extend(attach_probes(ebpf)?);
    Ok(attached)
}

/// Attaches one hook that is loaded; who gets its link keeps it or pins it.
pub(super) fn link(ebpf: &mut Ebpf, name: &str, directory: &File) -> Result<FdLink, OpenError> {
    let unusual = |error: LinkError| OpenError::refused(format!("a link of `{name}`"), &error);
    let kind = match name {
        "egress" => CgroupSkbAttachType::Egress,
        "ingress" => CgroupSkbAttachType::Ingress,
        lsm::HOOK => return lsm::link(ebpf, directory),
        "sock_create" => {
            let program: &mut CgroupSock = typed(ebpf, name)?;
            let made = program.attach(directory, LINK).and_then(|id| program.take_link(id));
            return made.map_err(|error| refused(name, &error))?.try_into().map_err(unusual);
        }
        _ => {
            let program: &mut CgroupSockAddr = typed(ebpf, name)?;
            let made = program.attach(directory, LINK).and_then(|id| program.take_link(id));
            return made.map_err(|error| refused(name, &error))?.try_into().map_err(unusual);
        }
    };
    let program: &mut CgroupSkb = typed(ebpf, name)?;
    let made = program.attach(directory, kind, LINK).and_then(|id| program.take_link(id));
    made.map_err(|error| refused(name, &error))?.try_into().map_err(unusual)
}

/// What only tells: connections and listeners that bypass the hooks, and processes.
pub(super) fn attach_probes(ebpf: &mut Ebpf) -> Result<Vec<Attachment>, OpenError> {
    let mut attached = attach_sockets(ebpf)?;
    attached.extend(attach_processes(ebpf)?);
    Ok(attached)
}

/// Without these, processes are looked up in `/proc` when an event has come, as far as they are there.
fn attach_processes(ebpf: &mut Ebpf) -> Result<Vec<Attachment>, OpenError> {
    let mut attached = Vec::new();
    // Ends first: whatever begins from then on is known to end.
    for (name, tracepoint) in PROCESSES {
        object::load(ebpf, name)?;
        let program: &mut RawTracePoint = typed(ebpf, name)?;
        program.attach(tracepoint).map(drop).map_err(|error| refused(name, &error))?;
        attached.push(entry(name, "raw tracepoint", None));
    }
    Ok(attached)
}

/// Kprobes, or the tracepoint that stands in for them.
fn attach_sockets(ebpf: &mut Ebpf) -> Result<Vec<Attachment>, OpenError> {
    if platform::has_kprobes() {
        let mut attached = Vec::new();
        for name in KPROBES {
            object::load(ebpf, name)?;
            let program: &mut KProbe = typed(ebpf, name)?;
            program.attach(name, 0).map(drop).map_err(|error| refused(name, &error))?;
            attached.push(entry(name, "kprobe", None));
        }
        return Ok(attached);
    }
    object::load(ebpf, STAND_IN)?;
    let program: &mut RawTracePoint = typed(ebpf, STAND_IN)?;
    program.attach(STAND_IN).map(drop).map_err(|error| refused(STAND_IN, &error))?;
    let note = "stands in for kprobes, which this kernel was built without";
    Ok(vec![entry(STAND_IN, "raw tracepoint", Some(note))])
}

pub(super) fn typed<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, OpenError>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program>,
{
    let missing = || OpenError::Missing { what: "program", name: name.to_owned() };
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or_else(missing)
}

pub(super) fn refused(name: &str, error: &ProgramError) -> OpenError {
    OpenError::refused(format!("to attach `{name}`"), error)
}

pub(super) fn entry(program: &str, target: &str, note: Option<&str>) -> Attachment {
    Attachment {
        program: program.to_owned(),
        target: target.to_owned(),
        note: note.map(str::to_owned),
    }
}
