//! What is read from the running system: processes, cgroups, sockets, changes of files. Each answers
//! with a fact; none judges.

pub mod ages;
mod backoff;
pub mod cgroup_events;
pub mod cgroup_namespace;
pub mod cgroupfs;
pub mod clock;
pub mod cri;
pub mod dmi;
pub mod facts;
pub mod files;
pub mod holders;
pub mod host;
pub mod inventory;
pub mod kubernetes;
pub mod links;
pub mod metadata;
pub mod processes;
pub mod procfs;
pub mod resolver;
pub mod roster;
pub mod scope;
pub mod sockets;
pub mod wires;
