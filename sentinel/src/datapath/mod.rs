//! The border to the kernel: the only module that names aya.
//!
//! [`open`] loads and attaches the programs; what it returns is a [`Datapath`] (what userspace tells
//! the kernel) and a [`Ring`] (what the kernel tells userspace). Tests put something else in place
//! of both.

mod attach;
mod error;
mod feeds;
mod kernel;
mod object;
mod offsets;
pub mod platform;
mod replay;
mod ring;
mod sockets;
mod wires;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use sentinel_common::config::Modes;
use sentinel_common::flow::Flow;
use sentinel_common::policy::PrefixRules;
use sentinel_common::signature::Signatures;
use serde::Serialize;

use crate::feed::FeedSet;
pub use error::{DatapathError, OpenError};
pub use kernel::Kernel;
pub use object::verified_instructions;
pub use replay::{Judge, KernelEngine};
pub use ring::Ring;

/// What userspace tells the kernel, and asks it.
pub trait Datapath: Send {
    /// Replaces the signature set in one switch; returns the new set's number, which verdicts and
    /// events carry. Waits for the programs that still read by the set before the last.
    ///
    /// # Errors
    /// When the kernel refuses the map update; the set before stays in force.
    fn set_signatures(&mut self, signatures: &Signatures) -> Result<u32, DatapathError>;

    /// Replaces the allowlist and both modes in one switch; returns the new generation.
    ///
    /// # Errors
    /// When the set does not fit or the kernel refuses it; the policy before stays in force.
    fn set_policy(&mut self, policy: &PolicySet) -> Result<u32, DatapathError>;

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

    /// Totals over all CPUs, in the slots of [`sentinel_common::verdict::outcome_counter`] and
    /// [`sentinel_common::verdict::loss_counter`].
    ///
    /// # Errors
    /// When the kernel refuses to read the map.
    fn counters(&self) -> Result<Vec<u64>, DatapathError>;

    /// One entry for each attached program.
    fn attachments(&self) -> Vec<Attachment>;

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
    /// Id of a cgroup at the other end; 0 when nobody is there yet.
    pub cgroup: u64,
}

/// A policy as the kernel takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySet {
    /// What each kind of finding leads to.
    pub modes: Modes,
    /// The allowlist, each prefix with what it and the prefixes around it allow.
    pub prefixes: Vec<(IpNet, PrefixRules)>,
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
    /// Whether raw sockets are refused where an allowlist is enforced.
    pub refuse_raw: bool,
}

/// Loads every program and attaches it. Nothing is blocked before [`Datapath::set_policy`].
///
/// # Errors
/// When this host cannot run the programs: the sentence says what is missing and the mend.
pub fn open(options: &Options) -> Result<(Box<dyn Datapath>, Ring), OpenError> {
    let mut kernel = Kernel::load()?;
    kernel.refuse_raw(options.refuse_raw);
    kernel.attach(options.cgroup.as_deref())?;
    let ring = kernel.ring()?;
    Ok((Box::new(kernel), ring))
}
