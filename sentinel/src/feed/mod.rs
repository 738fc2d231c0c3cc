//! Feeds: lists of domains, addresses and prefixes that belong to mining pools.
//!
//! ```text
//! load (the only I/O) -> parse (lines, with places) -> FeedSet -> datapath, as a difference
//! ```
//!
//! A feed is a blocklist, and any number of them can be given. A domain stands for itself and for
//! everything below it. What is in force is in the kernel; the same [`FeedSet`] stays here to say
//! which entry an event is about, and to tell a name from another with the same hash.

mod change;
mod entry;
mod host;
mod load;
mod network;
mod parse;
mod set;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use change::{Change, changes};
pub use load::{BUILTIN, LoadError, Source, load};
pub use network::Network;
pub use parse::{Findings, Header};
use sentinel_common::address::Address;
pub use set::{Feed, FeedSet, Hit, Tally};

/// Why feeds were not taken.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// One cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Lines are wrong.
    #[error(transparent)]
    Invalid(#[from] Findings),
    /// More than fits.
    #[error("the feeds hold more than {limit} {what}, which is what fits: leave a feed out")]
    TooMany {
        /// Domains, addresses or prefixes.
        what: &'static str,
        /// How many fit.
        limit: usize,
    },
}

/// Reads the feeds of a configuration from disk, less the addresses that its allowlist names alone.
///
/// # Errors
/// As [`load`], [`compile`] and [`FeedSet::exempt`].
pub fn gather(builtin: bool, paths: &[PathBuf], exempt: &[Address]) -> Result<FeedSet, FeedError> {
    let mut feeds = compile(&load(builtin, paths)?)?;
    feeds.exempt(exempt)?;
    Ok(feeds)
}

/// Reads feeds into one set; the first to name an entry is the one that is told of.
///
/// # Errors
/// The first feed with a line that is not understood or means too much, with its first findings;
/// or that all together hold more than fits.
pub fn compile(sources: &[Source]) -> Result<FeedSet, FeedError> {
    let mut builder = set::Builder::default();
    for source in sources {
        parse::parse(source, &mut builder)?;
    }
    builder.finish()
}
