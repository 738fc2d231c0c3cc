//! Links and maps that stay in the kernel when the agent goes, and how the next one finds them.
//!
//! A folder on a bpffs holds three others. `links` has one link for each cgroup hook: whoever comes
//! next has it run its own program in one step. `names-…` has what is learned of names, with the
//! secret of its hashes, and `maps-…` all else; what follows the dash says how they are laid out, so
//! that an agent takes over only what it understands. Where the rest is laid out otherwise, new maps
//! are filled before the first link is touched, and what is learned of names is carried over all the
//! same. Probes are not pinned: they only tell the agent something.

mod adopt;
mod folder;
mod links;

pub(super) use folder::Pins;
pub use folder::{Removed, is_used, remove};

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Kernel, OpenError};

/// Where the pins are when nothing else is said.
pub const FOLDER: &str = "/sys/fs/bpf/sentinel";

/// What stays when the agent goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// The folder of the pins.
    pub folder: PathBuf,
    /// Since when something is enforced without a gap, seconds of Unix time.
    pub since: u64,
    /// What an agent before has left was taken over.
    pub taken_over: bool,
}

/// Where an agent before has pinned what judges beside this one, whose own pins are elsewhere or nowhere.
#[must_use]
pub fn left_behind(own: Option<&Path>) -> Option<PathBuf> {
    let folder = Path::new(FOLDER);
    (own != Some(folder) && is_used(folder)).then(|| folder.to_path_buf())
}

impl Kernel {
    /// As [`Kernel::load`], with what another agent has left in this folder taken over. What is attached
    /// afterwards is attached by the first policy.
    ///
    /// # Errors
    /// When the host cannot run the programs, or the folder cannot be used.
    pub fn load_pinned(folder: &Path) -> Result<Self, OpenError> {
        Self::create(Some(Pins::open(folder)?))
    }
}
