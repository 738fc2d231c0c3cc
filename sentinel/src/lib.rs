//! sentinel: finds and cuts cryptomining traffic on a node, and says whose it was.
//!
//! One straight line: `datapath` (the only module that names aya) yields raw records, `decode` makes
//! events of them, `engine::step` decides what follows, `executor` does it.

pub mod action;
pub mod api;
pub mod attribution;
pub mod audit;
pub mod cli;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod datapath;
pub mod decode;
pub mod detect;
pub mod doctor;
pub mod engine;
pub mod event;
pub mod executor;
pub mod export;
pub mod feed;
pub mod lookups;
pub mod names;
pub mod policy;
pub mod profile;
pub mod remembered;
pub mod replay;
pub mod respond;
pub mod signature;
pub mod sockets;
pub mod status;
pub mod watch;
