//! `sock_create`: who made a socket. For raw, UDP-Lite and SCTP sockets no later hook knows.

use aya_ebpf::macros::cgroup_sock;
use aya_ebpf::programs::SockContext;

use crate::context;
use crate::maps::CONFIG;
use crate::owner::{caller, remember};

const PROCEED: i32 = 1;

#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    if let Some(config) = CONFIG.get(0) {
        remember(context::created_cookie(&ctx), false, &caller(config));
    }
    PROCEED
}
