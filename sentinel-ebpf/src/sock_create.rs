//! `sock_create`: who made a socket. For raw, UDP-Lite and SCTP sockets no later hook knows. Where raw
//! sockets are refused, they are refused here.

use aya_ebpf::macros::cgroup_sock;
use aya_ebpf::programs::SockContext;

use sentinel_common::config::Switch;
use sentinel_common::verdict::{Reason, Verdict};

use crate::context;
use crate::emit::count;
use crate::maps::CONFIG;
use crate::owner::{caller, remember};
use crate::workload;

/// The caller gets `EPERM`.
const REFUSE: i32 = 0;
const PROCEED: i32 = 1;

#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return PROCEED;
    };
    let (cookie, kind) = context::created(&ctx);
    let owner = caller(config);
    if config.refuses(kind) && is_confined(config.switch(), owner.cgroup) {
        count(Reason::RawSocket, Verdict::Blocked);
        return REFUSE;
    }
    remember(cookie, false, &owner);
    PROCEED
}

/// Whether policies on what goes out are enforced on the caller.
#[inline(always)]
fn is_confined(switch: Switch, current: u64) -> bool {
    let known = if switch.by_workload() { workload::of_caller() } else { current };
    let subject = if switch.by_workload() { known } else { 0 };
    matches!(workload::judge_anywhere(subject, known != current).verdict, Verdict::Blocked)
}
