//! Where events and figures go.

mod attributed;
pub mod hooks;
pub mod journal;
pub mod kubernetes;
pub mod metrics;
pub mod node;
pub mod policy_status;
mod registry;
pub mod runtimes;
pub mod table;
pub mod writer;

pub(crate) use table::printable;
