//! What must hold for any bytes from outside, as functions that panic when it does not.
//!
//! One module is one target: [`packet`], [`stream`], [`pcap`], [`signature_file`], [`name`],
//! [`decode`], [`dns`].
//! `cargo xtask fuzz` lets libFuzzer look for bytes that break one; `tests/corpus.rs` runs the
//! committed corpora and every crash that was ever found as plain tests.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a property says that it does not hold"
)]

pub mod decode;
pub mod dns;
mod naive;
pub mod name;
pub mod packet;
pub mod pcap;
mod reference;
#[cfg(feature = "seeds")]
pub mod seeds;
pub mod signature_file;
pub mod stream;

use std::sync::LazyLock;

use sentinel::signature::Compiled;

/// A property over bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// What `cargo xtask fuzz` calls it, and the folder of its corpus.
    pub name: &'static str,
    /// Panics when the property does not hold.
    pub run: fn(&[u8]),
    /// Does what the first input would have to wait for: seconds, where an input may take ten.
    pub prepare: fn(),
    /// Bytes of an input, at most.
    pub max_len: usize,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "packet", run: packet::run, prepare: nothing, max_len: 256 },
    Target { name: "stream", run: stream::run, prepare: compile, max_len: 1024 },
    Target { name: "pcap", run: pcap::run, prepare: compile, max_len: 4096 },
    Target { name: "signature-file", run: signature_file::run, prepare: compile, max_len: 2048 },
    Target { name: "name", run: name::run, prepare: nothing, max_len: 512 },
    Target { name: "decode", run: decode::run, prepare: decode::prepare, max_len: 512 },
    Target { name: "dns", run: dns::run, prepare: nothing, max_len: 1024 },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The built-in signatures, compiled once.
static BUILT_IN: LazyLock<Compiled> = LazyLock::new(|| sentinel::signature::embedded().unwrap());

fn compile() {
    LazyLock::force(&BUILT_IN);
}

const fn nothing() {}
