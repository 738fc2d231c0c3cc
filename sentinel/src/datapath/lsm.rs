//! `socket_create`: asked before a socket of any family is made, by kernels that have BPF among their
//! security modules. Where it cannot be had the agent goes on without it, and says so.

use std::fs::File;
use std::path::Path;

use aya::Ebpf;
use aya::programs::LsmCgroup;
use aya::programs::links::FdLink;

use super::{Attachment, Kernel, OpenError, attach, object, platform};

/// The program, and the kernel's hook.
pub(super) const HOOK: &str = "socket_create";

/// Why nothing is refused where nobody wants it.
pub(super) const UNWANTED: &str = "`rawSockets` is not `refuse`";

impl Kernel {
    /// Whether raw sockets, and those of other families than IP, are refused where an allowlist is
    /// enforced: from the next switch on, by what is attached then.
    pub const fn refuse_raw(&mut self, refuse: bool) {
        self.config.refuse_raw = refuse as u32;
    }

    /// Loads the hook's program if it is wanted, and attaches it if that is not for
    /// [`Kernel::put_links`] to do.
    pub(super) fn attach_lsm(&mut self, cgroup: &Path) -> Option<Attachment> {
        if self.config.refuse_raw == 0 {
            return None;
        }
        let pinned = self.pins.is_some();
        let done = object::load(&mut self.ebpf, HOOK)
            .and_then(|()| if pinned { Ok(()) } else { put_on(&mut self.ebpf, cgroup) });
        let is_there = done.is_ok();
        self.settle_lsm(done);
        let note = self.sockets_gap.as_deref().or(pinned.then_some("pinned"));
        is_there.then(|| attach::entry(HOOK, &cgroup.display().to_string(), note))
    }

    /// Whether the program is to be put on a link.
    pub(super) fn has_lsm(&self) -> bool {
        self.ebpf.program(HOOK).is_some_and(|program| program.fd().is_ok())
    }

    /// What has become of it.
    pub(super) fn settle_lsm(&mut self, done: Result<(), OpenError>) {
        let failed = done.err().map(|error| error.to_string());
        self.sockets_gap = failed.or_else(platform::lsm_gap);
        if let Some(gap) = &self.sockets_gap {
            tracing::warn!("of raw sockets only those of IP are refused: {gap}");
        }
    }
}

fn put_on(ebpf: &mut Ebpf, cgroup: &Path) -> Result<(), OpenError> {
    let directory = File::open(cgroup)
        .map_err(|source| OpenError::Io { path: cgroup.to_path_buf(), source })?;
    let program: &mut LsmCgroup = attach::typed(ebpf, HOOK)?;
    program.attach(&directory).map(drop).map_err(|error| attach::refused(HOOK, &error))
}

/// Attaches it and gives the link away.
pub(super) fn link(ebpf: &mut Ebpf, directory: &File) -> Result<FdLink, OpenError> {
    let program: &mut LsmCgroup = attach::typed(ebpf, HOOK)?;
    let made = program.attach(directory).and_then(|id| program.take_link(id));
    made.map(FdLink::from).map_err(|error| attach::refused(HOOK, &error))
}

/// Why only sockets of IP can be refused here; `None` where all can. Loads the program, which refuses nothing without
/// policies, and attaches it for a moment to this process' own cgroup: 6.1 on aarch64 takes the one and not the other.
#[must_use]
pub fn gap() -> Option<String> {
    let tried = || {
        let root = platform::cgroups()?.root;
        let mut ebpf = object::create(None)?;
        object::load(&mut ebpf, HOOK)?;
        put_on(&mut ebpf, &platform::own_cgroup(&root).unwrap_or(root))
    };
    tried().err().map(|error| error.to_string()).or_else(platform::lsm_gap)
}
