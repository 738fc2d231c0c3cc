//! Every connection of the watched part of the host, each with who holds it.

use std::collections::HashSet;
use std::io;

use super::holders::{self, Holder};
use super::inventory::{Listing, Open};
use super::scope::Scope;
use crate::attribution::Attribution;

/// One connection.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What the kernel says of it.
    pub open: Open,
    /// The process that holds it, and its descriptor.
    pub holder: Option<Holder>,
    /// That process in full, and its cgroup.
    pub maker: Attribution,
}

/// All of them.
#[derive(Debug)]
pub struct Roster {
    /// The connections.
    pub entries: Vec<Entry>,
    /// Connections for which there was no room.
    pub left_out: usize,
    /// Network namespaces that could not be looked into, and why.
    pub failed: Vec<io::Error>,
}

impl Roster {
    /// Finds the holders of what was listed, as far as it is in the scope. Walks `/proc`.
    #[must_use]
    pub fn of(listing: Listing, scope: &mut Scope) -> Self {
        let Listing { open, left_out, failed } = listing;
        let wanted: HashSet<u32> =
            open.iter().map(|open| open.inode).filter(|inode| *inode != 0).collect();
        let holders = holders::find(&wanted);
        let entry = |open: Open| {
            let holder = holders.get(&open.inode).copied();
            let maker = scope.maker(&open, holder)?;
            Some(Entry { open, holder, maker })
        };
        Self { entries: open.into_iter().filter_map(entry).collect(), left_out, failed }
    }
}
