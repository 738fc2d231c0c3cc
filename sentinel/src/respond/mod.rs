//! What the agent does to a socket beyond the kernel's verdict.

pub mod namespace;
pub mod sock_diag;

mod sock_destroy;
mod wire;

pub use sock_destroy::sock_destroy;
