//! What the kernel calls this machine.

use crate::attribution::node::clean;

/// Its name, where it has one.
#[must_use]
pub fn name() -> Option<String> {
    clean(&rustix::system::uname().nodename().to_string_lossy())
}
