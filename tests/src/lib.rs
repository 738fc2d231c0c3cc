//! The network laboratory of sentinel's tests: namespaces, cgroups, a mining pool, miner-like and
//! honest clients, and an independent sniffer.
//!
//! Nothing here mines and nothing here depends on sentinel: what the agent claims is checked
//! against what a pool received and what a packet socket on the pool's side saw.

pub mod agent;
pub mod bench;
pub mod bypass;
pub mod cgroup;
pub mod cli;
pub mod containerd;
pub mod crowd;
pub mod demo;
pub mod detect;
pub mod errno;
pub mod honest;
pub mod kubernetes;
pub mod metadata;
pub mod miner;
pub mod netlab;
pub mod packets;
pub mod policy;
pub mod pool;
pub mod process;
pub mod random;
pub mod resolver;
pub mod score;
mod server;
pub mod sniffer;
mod sync;
mod sys;
pub mod tamper;
pub mod traffic;
pub mod transcript;
