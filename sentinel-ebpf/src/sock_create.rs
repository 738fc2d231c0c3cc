//! `sock_create` and `socket_create`: who makes a socket. For raw, UDP-Lite and SCTP sockets no later hook
//! knows, so it is written down. Where raw sockets are refused, they are refused here, with all others
//! that no later hook sees.

use aya_ebpf::macros::{cgroup_sock, lsm_cgroup};
use aya_ebpf::programs::{LsmContext, SockContext};

use sentinel_common::config::{Config, Switch};
use sentinel_common::verdict::{Reason, Verdict};

use crate::context;
use crate::emit::count;
use crate::maps::CONFIG;
use crate::owner::{caller, remember};
use crate::workload;

/// The caller gets `EPERM`.
const REFUSE: i32 = 0;
const PROCEED: i32 = 1;

/// Sockets of IP only: `inet_create` and `inet6_create` ask.
#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return PROCEED;
    };
    let (cookie, family, kind) = context::created(&ctx);
    let owner = caller(config);
    if is_refused(config, family, kind, || owner.cgroup) {
        return REFUSE;
    }
    remember(cookie, false, &owner);
    PROCEED
}

/// Sockets of every family, before there is one:
/// `int socket_create(int family, int type, int protocol, int kern)` (include/linux/lsm_hook_defs.h; for a
/// cgroup since 6.0). What the kernel makes for itself passes.
#[lsm_cgroup(hook = "socket_create")]
pub fn socket_create(ctx: LsmContext) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return PROCEED;
    };
    let (family, kind, by_kernel) = (ctx.arg::<i32>(0), ctx.arg::<i32>(1), ctx.arg::<i32>(3) != 0);
    let current = || caller(config).cgroup;
    if !by_kernel && is_refused(config, family as u32, kind as u32, current) {
        return REFUSE;
    }
    PROCEED
}

/// Whether the caller may not make such a socket; counts it.
#[inline(always)]
fn is_refused(config: &Config, family: u32, kind: u32, current: impl FnOnce() -> u64) -> bool {
    let refused = config.refuses(family, kind) && is_confined(config.switch(), current());
    if refused {
        count(Reason::RawSocket, Verdict::Blocked);
    }
    refused
}

/// Whether policies on what goes out are enforced on the caller.
#[inline(always)]
fn is_confined(switch: Switch, current: u64) -> bool {
    let known = if switch.by_workload() { workload::of_caller() } else { current };
    let subject = if switch.by_workload() { known } else { 0 };
    matches!(workload::judge_anywhere(subject, known != current).verdict, Verdict::Blocked)
}
