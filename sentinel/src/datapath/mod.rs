//! The border to the kernel: the only module that names aya.
//!
//! [`open`] loads and attaches the programs; what it returns is a [`Datapath`] (what userspace tells
//! the kernel) and a [`Ring`] (what the kernel tells userspace). Tests put something else in place
//! of both.

mod attach;
mod canary;
mod config;
mod error;
mod feeds;
mod image;
mod kernel;
mod learned;
mod learning;
mod lsm;
mod names;
mod object;
mod offsets;
pub mod pin;
pub mod platform;
mod policies;
mod processes;
mod replay;
mod ring;
mod sockets;
mod sys;
mod vigil;
mod wires;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_common::flow::Flow;
use sentinel_common::limits::MAX_WIRE_CGROUPS;
use sentinel_common::policy::Binding;
use sentinel_common::signature::Signatures;
use serde::Serialize;

use crate::event::hook::Inspection;
use crate::feed::FeedSet;
use crate::names::Swept;
use crate::policy::Pattern;
pub use error::{DatapathError, OpenError};
pub use image::{PolicyImage, PrefixEntry};
pub use kernel::Kernel;
pub use lsm::gap as sockets_gap;
pub use object::verified_instructions;
pub use processes::ProcessRing;
pub use replay::{Judge, KernelEngine};
pub use ring::Ring;
pub use sys::share_heap;

/// What userspace tells the kernel, and asks it.
pub trait Datapath: Send {
    /// Replaces the signature set in one switch; returns the new set's number, which verdicts and
    /// events carry. Waits for the programs that still read by the set before the last.
    ///
    /// # Errors
    /// When the kernel refuses the map update; the set before stays in force.
    fn set_signatures(&mut self, signatures: &Signatures) -> Result<u32, DatapathError>;

    /// Replaces the policies and all modes in one switch, writing what differs from the set before the
    /// last; returns the new generation. Waits for the programs that still look into that one.
    ///
    /// # Errors
    /// When the set does not fit or the kernel refuses it; the policy before stays in force.
    fn set_policy(&mut self, policy: &Arc<PolicyImage>) -> Result<u32, DatapathError>;

    /// Writes the policies in force into the slot that is not, so that the next set, which will mostly be
    /// the same, has little to write.
    ///
    /// # Errors
    /// When the kernel refuses an entry; what is in force is not touched.
    fn prepare_next(&mut self) -> Result<(), DatapathError>;

    /// Chooses policies for a cgroup that is new, or forgets one that is gone: at once, in the set in
    /// force.
    ///
    /// # Errors
    /// When there is no room, or the kernel refuses it; then the cgroup is judged as one beneath its
    /// nearest known ancestor.
    fn bind(&mut self, cgroup: u64, binding: Option<&Binding>) -> Result<(), DatapathError>;

    /// Replaces the feeds, entry by entry: only what differs is written, and lookups go on.
    ///
    /// # Errors
    /// When the kernel refuses an entry; the sentence says whether the feeds before are in force
    /// again.
    fn set_feeds(&mut self, feeds: &Arc<FeedSet>) -> Result<(), DatapathError>;

    /// Gives a socket that is older than the programs a flow's state, so that it is read from its next
    /// packet on; `false` when it has some already, which stays as it is.
    ///
    /// # Errors
    /// When the kernel refuses it: no memory, or no such socket any more.
    fn resume(&mut self, socket: BorrowedFd<'_>, flow: &Flow) -> Result<bool, DatapathError>;

    /// Whom the TLS handshake on this socket asked for; `None` when there was none or it is forgotten.
    ///
    /// # Errors
    /// When the kernel refuses to read the map.
    fn server_name(&self, cookie: u64) -> Result<Option<ServerName>, DatapathError>;

    /// Judges what comes out of these wires at the host's end, and at no others; returns those that
    /// could not be, by the interface's index.
    ///
    /// # Errors
    /// When the kernel refuses the program altogether.
    fn set_wires(
        &mut self,
        _wires: &[WireEnd],
    ) -> Result<Vec<(u32, DatapathError)>, DatapathError> {
        Ok(Vec::new())
    }

    /// Makes these the servers whose answers teach where names lead.
    ///
    /// # Errors
    /// When the kernel refuses one; those before and those taken so far may teach.
    fn set_resolvers(&mut self, servers: &BTreeSet<IpAddr>) -> Result<(), DatapathError>;

    /// Whether there are patterns in force.
    fn has_patterns(&self) -> bool;

    /// The patterns in force that the programs take this address for now: rules on them speak of it.
    ///
    /// # Errors
    /// When the kernel refuses to read the map.
    fn learned(&mut self, _address: IpAddr) -> Result<Vec<Pattern>, DatapathError> {
        Ok(Vec::new())
    }

    /// Takes away what was learned and no longer holds: its time is over and none of these
    /// addresses, to which connections are open, is meant. What holds is found throughout.
    ///
    /// # Errors
    /// When the kernel refuses a read or an update; nothing that holds was taken away.
    fn sweep(&mut self, alive: &HashSet<IpAddr>) -> Result<Swept, DatapathError>;

    /// Totals over all CPUs, in the slots of [`sentinel_common::verdict::outcome_counter`],
    /// [`sentinel_common::verdict::loss_counter`] and [`sentinel_common::verdict::lesson_counter`].
    ///
    /// # Errors
    /// When the kernel refuses to read the map.
    fn counters(&self) -> Result<Vec<u64>, DatapathError>;

    /// Looks whether each hook is where it was put, and puts it back where it is not.
    fn inspect(&mut self) -> Inspection {
        Inspection::default()
    }

    /// One entry for each attached program.
    fn attachments(&self) -> Vec<Attachment>;

    /// Why whoever is confined may make sockets whose packets no hook on IP sees; `None` where nobody
    /// may.
    fn sockets_gap(&self) -> Option<String> {
        Some("nobody refuses them".to_owned())
    }

    /// What stays in the kernel when the agent goes; `None` when nothing does.
    fn pinned(&self) -> Option<pin::Pinned> {
        None
    }

    /// The cgroup2 directory under which everything is judged.
    fn cgroup(&self) -> &Path;

    /// Number of the policy in force, counted from 1.
    fn generation(&self) -> u32;
}

/// Whom a TLS handshake asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// This name.
    Named(String),
    /// It named nobody.
    Nobody,
}

/// The host's end of a workload's wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireEnd {
    /// The interface's index in the agent's network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The number that the agent's network namespace gives to the workload's.
    pub namespace: u32,
    /// Ids of the cgroups at the other end; none when nobody is there yet.
    pub cgroups: [u64; MAX_WIRE_CGROUPS],
}

impl WireEnd {
    /// Whether this is the same end of a wire to the same namespace, whoever is there.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        (self.index, &self.name, self.namespace) == (other.index, &other.name, other.namespace)
    }
}

/// An attached program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The program's name.
    pub program: String,
    /// What it is attached to.
    pub target: String,
    /// What a reader should know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How to open the datapath.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The cgroup2 directory to attach to; `None` is the root of the hierarchy.
    pub cgroup: Option<PathBuf>,
    /// The folder on a bpffs for what is to outlive the agent.
    pub pin: Option<PathBuf>,
    /// Whether raw sockets, and those of other families than IP, are refused where an allowlist is
    /// enforced.
    pub refuse_raw: bool,
}

/// Loads every program and attaches it. Nothing is blocked before [`Datapath::set_policy`].
///
/// # Errors
/// When this host cannot run the programs: the sentence says what is missing and the mend.
pub fn open(options: &Options) -> Result<(Box<dyn Datapath>, Ring), OpenError> {
    if let Some(folder) = pin::left_behind(options.pin.as_deref()) {
        tracing::warn!(
            "what an agent has pinned in {} judges as well: `sentinel unpin` removes it",
            folder.display()
        );
    }
    let mut kernel = match &options.pin {
        Some(folder) => Kernel::load_pinned(folder)?,
        None => Kernel::load()?,
    };
    kernel.refuse_raw(options.refuse_raw);
    kernel.attach(options.cgroup.as_deref())?;
    let ring = kernel.ring()?.with_processes(kernel.processes()?);
    Ok((Box::new(kernel), ring))
}
