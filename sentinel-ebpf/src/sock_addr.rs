//! `connect4/6` and `sendmsg4/6`: the destination before the first byte, and the process behind it.

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use sentinel_common::event::{Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::policy::Request;
use sentinel_common::verdict::{Mode, Verdict};

use crate::context::{self, Destination};
use crate::destination::judge;
use crate::emit::{count, tell};
use crate::maps::CONFIG;
use crate::owner::{caller, remember};

/// Refused: the caller gets `EPERM`.
const REFUSE: i32 = 0;
const PROCEED: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    call(context::destination(&ctx, false), Hook::Connect4)
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    call(context::destination(&ctx, true), Hook::Connect6)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    call(context::destination(&ctx, false), Hook::Sendmsg4)
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    call(context::destination(&ctx, true), Hook::Sendmsg6)
}

#[inline(always)]
fn call(to: Destination, hook: Hook) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return PROCEED;
    };
    let owner = caller(config);
    remember(to.cookie, true, &owner);
    let switch = config.switch();
    let mode = switch.egress();
    if matches!(mode, Mode::Off) {
        return PROCEED;
    }
    let request =
        Request { remote: to.remote, protocol: to.protocol, port: Some(to.port), icmp_type: 0 };
    let decision = judge(&request, mode, switch.policy_slot());
    // What goes on is counted by its packets: only what ends here is counted here.
    if matches!(decision.verdict, Verdict::Blocked) {
        count(decision.reason, decision.verdict);
        tell(|event| {
            event.kind = Kind::Egress as u8;
            event.hook = hook as u8;
            event.verdict = decision.verdict as u8;
            event.reason = decision.reason as u8;
            event.rule = u32::from(decision.rule);
            event.generation = switch.generation();
            event.cookie = to.cookie;
            event.cgroup = owner.cgroup;
            event.owner = owner;
            event.remote = to.remote;
            event.remote_port = to.port;
            event.protocol = to.protocol;
            event.direction = Direction::Egress as u8;
        });
        return REFUSE;
    }
    PROCEED
}
