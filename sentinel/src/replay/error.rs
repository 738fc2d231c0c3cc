//! What can go wrong in a replay.

use std::path::PathBuf;

use super::engine::EngineError;

/// Why a capture was not read to its end, or a replay not finished.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file system refused.
    #[error("cannot read {file}: {error}")]
    Io {
        /// The capture.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Neither pcap nor pcapng.
    #[error("{file} is neither a pcap nor a pcapng capture")]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The file ends inside a packet.
    #[error("{file} ends in the middle of a packet; {packets} packets before it were read")]
    Truncated {
        /// The capture.
        file: PathBuf,
        /// Packets that were read.
        packets: u64,
    },
    /// A packet's or block's header makes no sense.
    #[error("{file} is corrupt behind packet {packets}; nothing after it was read")]
    Corrupt {
        /// The capture.
        file: PathBuf,
        /// Packets that were read.
        packets: u64,
    },
    /// No packet of the capture is of a link layer that is read.
    #[error(
        "{file} has link type {link}, which is not read (Ethernet, raw IP, Linux cooked and loopback are)"
    )]
    Link {
        /// The capture.
        file: PathBuf,
        /// The number in the registry of link types.
        link: i32,
    },
    /// The engine failed.
    #[error("the {engine} engine failed at packet {packet} of {file}: {error}")]
    Engine {
        /// Its name.
        engine: &'static str,
        /// The capture.
        file: PathBuf,
        /// The packet's number, from 1.
        packet: u64,
        /// What it said.
        error: EngineError,
    },
    /// The reports could not be written.
    #[error("cannot write the report: {0}")]
    Output(std::io::Error),
}
