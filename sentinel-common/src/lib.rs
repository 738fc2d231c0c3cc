//! The contract between the kernel programs and userspace.
//!
//! Plain `no_std` Rust without allocation: compiled into the hooks, into `cargo test`, into the
//! fuzzer and into `sentinel replay`. What is decided, is decided here.
#![no_std]

pub mod address;
pub mod config;
pub mod dns;
pub mod event;
pub mod feed;
pub mod flow;
pub mod frame;
pub mod gate;
pub mod inspect;
pub mod learn;
pub mod lexer;
pub mod limits;
pub mod lookup;
pub mod names;
pub mod packet;
pub mod place;
pub mod policy;
pub mod process;
pub mod segment;
pub mod signature;
pub mod stream;
#[cfg(feature = "user")]
mod user;
pub mod verdict;
pub mod wire;
