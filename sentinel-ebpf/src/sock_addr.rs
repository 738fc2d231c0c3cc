//! `connect4/6` and `sendmsg4/6`: the destination before the first byte, and the process behind it.

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use sentinel_common::address::Address;
use sentinel_common::config::Config;
use sentinel_common::event::{ABI_VERSION, Event, Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::policy::{Request, TCP};
use sentinel_common::verdict::{Mode, Reason, Verdict};

use crate::context::{self, Socket};
use crate::destination::listed;
use crate::emit::{count, tell};
use crate::maps::{CANARIES, CONFIG};
use crate::owner::{caller, remember};
use crate::workload::{self, Finding};

/// The caller of `connect(2)` and `sendmsg(2)`, and where to.
#[derive(Clone, Copy)]
pub struct Destination {
    pub remote: Address,
    pub port: u16,
    pub protocol: u8,
    pub cookie: u64,
    pub socket: Socket,
}

/// Refused: the caller gets `EPERM`.
const REFUSE: i32 = 0;
const PROCEED: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    connect(context::destination(&ctx, false), Hook::Connect4)
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    connect(context::destination(&ctx, true), Hook::Connect6)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    call(context::destination(&ctx, false), Hook::Sendmsg4)
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    call(context::destination(&ctx, true), Hook::Sendmsg6)
}

/// A TCP socket that has been disconnected (`AF_UNSPEC`) may connect again: what was settled about its
/// connection before is not about this one. One that is connected does not come here.
#[inline(always)]
fn connect(to: Destination, hook: Hook) -> i32 {
    if to.protocol == TCP {
        to.socket.forget_flow();
    }
    call(to, hook)
}

#[inline(always)]
fn call(to: Destination, hook: Hook) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return PROCEED;
    };
    if is_canary(config, to.cookie) {
        return REFUSE;
    }
    let owner = caller(config);
    let past = remember(to.cookie, true, &owner);
    let Some(found) = finding(config, &to, owner.cgroup, past.cgroup) else {
        return PROCEED;
    };
    count(found.reason, found.verdict);
    tell(|event| {
        event.kind = Kind::Egress as u8;
        event.hook = hook as u8;
        event.verdict = found.verdict as u8;
        event.reason = found.reason as u8;
        event.rule = found.rule;
        event.generation = config.switch().generation();
        event.cookie = to.cookie;
        event.flags = u32::from(past.passed) * Event::PASSED;
        event.cgroup = past.cgroup;
        if past.cgroup == 0 {
            event.cgroup = owner.cgroup;
            event.flags |= Event::CALLERS;
        }
        event.owner = owner;
        event.remote = to.remote;
        event.remote_port = to.port;
        event.protocol = to.protocol;
        event.direction = Direction::Egress as u8;
    });
    if matches!(found.verdict, Verdict::Blocked) { REFUSE } else { PROCEED }
}

/// Whether the agent asks whether it would be refused: it is, as long as the programs run and what it
/// wrote for them stands. Nobody is told.
#[inline(always)]
fn is_canary(config: &Config, cookie: u64) -> bool {
    let Some([v4, v6]) = CANARIES.get(0) else {
        return false;
    };
    config.abi_version == ABI_VERSION && (cookie == *v4 || cookie == *v6)
}

/// The policies first, then the feeds. What goes on is counted and told of by its packets, and here
/// only what ends here; but for datagrams to a pool, whose packets are not looked up again.
#[inline(always)]
fn finding(config: &Config, to: &Destination, current: u64, subject: u64) -> Option<Finding> {
    let switch = config.switch();
    if !matches!(switch.egress(), Mode::Off)
        && let Some((known, is_unknown)) = workload::of_call(switch, current, subject)
    {
        let request =
            Request { remote: to.remote, protocol: to.protocol, port: Some(to.port), icmp_type: 0 };
        let found = workload::judge(known, is_unknown, Direction::Egress, &request);
        if matches!(found.verdict, Verdict::Blocked) {
            return Some(found);
        }
    }
    let verdict = switch.names().verdict();
    if matches!(verdict, Verdict::Allowed) {
        return None;
    }
    let rule = listed(config, &to.remote)?;
    let ends_here = matches!(verdict, Verdict::Blocked) || to.protocol != TCP;
    ends_here.then_some(Finding { verdict, reason: Reason::PoolAddress, rule, demands: false })
}
