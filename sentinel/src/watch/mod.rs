//! What is read from the running system: processes, cgroups, sockets. Each answers with a fact for
//! the engine; none judges.

pub mod cgroupfs;
pub mod clock;
pub mod facts;
pub mod holders;
pub mod inventory;
pub mod procfs;
pub mod resolver;
pub mod scope;
pub mod sockets;
