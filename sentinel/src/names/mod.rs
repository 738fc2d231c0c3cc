//! Names that policies allow: who may say where a name leads, and what is known of it.
//!
//! The kernel learns addresses from the answers of [`resolvers`], for the names that a
//! [`crate::policy::Pattern`] matches; `sentinel_common::learn` says how.

pub mod resolvers;

use std::net::IpAddr;

/// What one sweep over the learned addresses came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Pairs of address and pattern that are known now.
    pub known: usize,
    /// Pairs that were taken away.
    pub removed: usize,
    /// Addresses that stand for more than one pattern: whoever may go to one of the names may go to
    /// the others' servers there.
    pub shared: Vec<Shared>,
}

/// An address that several names lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The address.
    pub address: IpAddr,
    /// Numbers of the patterns.
    pub patterns: Vec<u32>,
}

/// Which addresses a pattern may open besides public ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opens {
    /// Those of private networks.
    pub private: bool,
    /// This host, its link and its cloud's metadata service.
    pub local: bool,
}

/// How long what was learned holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Least seconds, whatever an answer's time to live.
    pub floor: u32,
    /// Most seconds of a time to live that are believed.
    pub ceiling: u32,
    /// Seconds beyond the time to live: caches and clients are not punctual.
    pub grace: u32,
}

impl Default for Holding {
    fn default() -> Self {
        Self { floor: 60, ceiling: 24 * 60 * 60, grace: 300 }
    }
}
