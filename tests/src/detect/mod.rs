//! `cargo xtask bench detect`: what is caught, what is not, and what is caught by mistake.
//!
//! Everything in the tables was run: captures of a corpus and captures made here from the
//! transcripts, through sentinel's reader (`replay`) and, where it is installed, nDPI's
//! `ndpiReader`, which get the same files.

mod corpus;
mod generated;
mod markdown;
mod matrix;
mod peer;
mod reader;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub use markdown::write_between_markers;

use peer::Peer;
use reader::Readers;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder with `mining`, `synthetic`, `evasion`, `lookalikes` and `benign`.
    pub corpus: PathBuf,
    /// Whether to leave nDPI out.
    pub without_peer: bool,
    /// Whether only the generated part is wanted.
    pub only_generated: bool,
}

/// Runs everything; the result is Markdown.
///
/// # Errors
/// When a capture cannot be written or the reader itself fails.
pub fn run(options: &Options) -> Result<String> {
    let compiled = sentinel::signature::embedded().context("the built-in signatures")?;
    let mut readers = Readers::new(&compiled)?;
    let peer = if options.without_peer { None } else { Peer::find() };
    let mut text = String::new();
    if !options.only_generated {
        text += &corpus::measure(&options.corpus, &mut readers, peer.as_ref())?;
    }
    text += &generated::measure(&mut readers, peer.as_ref())?;
    text += &matrix::measure(&mut readers)?;
    text += &readers.remarks();
    if !options.without_peer && peer.is_none() {
        text += "\nnDPI was not asked: `apt-get install libndpi-bin` brings `ndpiReader`.\n";
    }
    Ok(text)
}
