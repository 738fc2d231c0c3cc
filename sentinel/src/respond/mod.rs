//! What the agent does to a socket beyond the kernel's verdict.

pub mod namespace;
pub mod sock_diag;

mod resume;
mod sock_destroy;
mod tcp_info;
mod wire;

pub use resume::{Resume, resume};
pub use sock_destroy::sock_destroy;
