//! Where events and figures go.

pub mod journal;
pub mod metrics;
pub mod runtimes;
pub mod table;
pub mod writer;

pub(crate) use table::printable;
