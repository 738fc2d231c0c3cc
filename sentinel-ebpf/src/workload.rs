//! Whose packet or call it is, and what the policies on that workload say.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::maps::lpm_trie::Key;
use sentinel_common::address::{from_halves, halves};
use sentinel_common::config::{Config, Switch};
use sentinel_common::flow::Direction;
use sentinel_common::limits::{MAX_CGROUP_DEPTH, MAX_POLICIES, MAX_POLICIES_PER_WORKLOAD};
use sentinel_common::policy::{
    Binding, Decision, KEY_BITS, Match, PolicyHead, PrefixKey, Request, Scope, Tally, WorkloadKey,
    needs_lookup,
};
use sentinel_common::verdict::{Mode, Reason, Verdict};

use crate::context::{self, Skb};
use crate::learn::{self, match_names};
use crate::maps::{CONFIG, POLICIES, PREFIXES, WORKLOADS};
use crate::name::match_server_name;

/// A request that no rule is asked about.
const ANYWHERE: Request = Request { remote: [0xff; 16], protocol: 0xff, port: None, icmp_type: 0 };

/// What speaks against a packet or a call, or for it.
#[derive(Clone, Copy)]
pub struct Finding {
    pub verdict: Verdict,
    pub reason: Reason,
    /// The policy's number in the upper half and its rule's in the lower, or a feed's.
    pub rule: u32,
    /// It is so on a condition: see [`Decision::demands`].
    pub demands: bool,
}

/// The known cgroup that a packet's socket was made in, or the nearest known one around it; 0 is none.
/// Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn of_packet(ctx: *mut __sk_buff) -> u64 {
    let Some(config) = CONFIG.get(0) else {
        return 0;
    };
    let slot = config.switch().policy_slot();
    let own = Skb(ctx).cgroup();
    if WORKLOADS.get_ptr(WorkloadKey::new(slot, own)).is_some() {
        return own;
    }
    nearest(slot, |level| Skb(ctx).ancestor(level))
}

/// The same of a call, and whether that is not the socket's own: `subject` is the cgroup the socket was
/// made in. None where it cannot be told; then the socket's packets tell.
#[inline(always)]
pub fn of_call(switch: Switch, current: u64, subject: u64) -> Option<(u64, bool)> {
    if !switch.by_workload() {
        return Some((0, false));
    }
    if subject == 0 {
        return None;
    }
    let slot = switch.policy_slot();
    if WORKLOADS.get_ptr(WorkloadKey::new(slot, subject)).is_some() {
        return Some((subject, false));
    }
    // Of the ancestors the kernel tells the caller's only.
    (subject == current).then(|| (of_caller(), true))
}

/// The nearest known cgroup around the caller. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn of_caller() -> u64 {
    let Some(config) = CONFIG.get(0) else {
        return 0;
    };
    nearest(config.switch().policy_slot(), context::caller_ancestor)
}

/// The deepest known one of a cgroup's ancestors; 0 is none.
#[inline(always)]
fn nearest(slot: u8, ancestor: impl Fn(i32) -> u64) -> u64 {
    let mut known = 0;
    for level in 0..MAX_CGROUP_DEPTH {
        let id = ancestor(level as i32);
        if id == 0 {
            break;
        }
        if WORKLOADS.get_ptr(WorkloadKey::new(slot, id)).is_some() {
            known = id;
        }
    }
    known
}

/// Decides by the policies on a workload.
#[inline(always)]
pub fn judge(subject: u64, is_unknown: bool, direction: Direction, request: &Request) -> Finding {
    let word = if needs_lookup(request) {
        let (high, low) = halves(&request.remote);
        let way = direction as u64 | u64::from(is_unknown) << 1;
        judge_workload(subject, high, low, request.pack(), way)
    } else {
        Tally::default().decide(request).pack(0, 0)
    };
    unpack(word)
}

#[inline(always)]
fn unpack(word: u64) -> Finding {
    Finding {
        verdict: Verdict::from_wire((word >> 40) as u8).unwrap_or(Verdict::Blocked),
        reason: Reason::from_wire((word >> 32) as u8).unwrap_or(Reason::NotAllowlisted),
        rule: word as u32,
        demands: word >> 48 & 1 == 1,
    }
}

/// Decides by the policies on a workload on a connection whose ClientHello is there; the patterns that
/// mean the server that it names stand in this slot.
#[inline(always)]
pub fn judge_named(subject: u64, is_unknown: bool, request: &Request, slot: u32) -> Finding {
    let (high, low) = halves(&request.remote);
    let way = u64::from(is_unknown) << 1 | u64::from(slot) << SLOT;
    unpack(judge_server(subject, high, low, request.pack(), way))
}

/// Where the slot of a server's name begins in what [`judge_server`] calls a way.
const SLOT: u32 = 8;

/// Decides on an address in two halves by the policies on a known cgroup, or by the node's where it is
/// 0; `asked` is a [`Request`]'s word, bit 0 of `way` the direction, bit 1 whether the packet is of
/// another cgroup beneath this one. Returns a [`Decision`]'s word. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_workload(cgroup: u64, high: u64, low: u64, asked: u64, way: u64) -> u64 {
    decide::<false>(cgroup, (high, low), asked, way)
}

/// The same of what goes out, and of rules that demand a server's name those that the name in the slot
/// fulfils: see [`judge_named`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_server(cgroup: u64, high: u64, low: u64, asked: u64, way: u64) -> u64 {
    decide::<true>(cgroup, (high, low), asked, way)
}

#[inline(always)]
fn decide<const NAMED: bool>(cgroup: u64, remote: (u64, u64), asked: u64, way: u64) -> u64 {
    let Some(config) = CONFIG.get(0) else {
        return 0;
    };
    let slot = config.switch().policy_slot();
    let Some(table) = POLICIES.get(u32::from(slot)) else {
        return 0;
    };
    let binding = binding(slot, cgroup).unwrap_or(&table.node);
    if way & 2 != 0 && binding.flags & Binding::CLOSED_BELOW != 0 {
        return Decision::UNKNOWN_WORKLOAD.pack(0, 0);
    }
    let (high, low) = remote;
    let direction = if way & 1 == 0 { Direction::Egress } else { Direction::Ingress };
    let mut tally = Tally::default();
    for place in 0..MAX_POLICIES_PER_WORKLOAD {
        if place >= usize::from(binding.count) {
            break;
        }
        let policy = binding.policies[place];
        let head = table.heads[usize::from(policy) & (MAX_POLICIES - 1)];
        let rules = rules_of(slot, direction, policy, head, config);
        let found = match_policy(high, low, rules, asked);
        let found = Match(named(high, low, rules, asked, found));
        let found = if NAMED {
            Match(match_server_name(way >> SLOT, rules, asked, u64::from(found.0)))
        } else {
            found
        };
        tally.add(place as u32, head, direction, found);
    }
    let mut decision = tally.decide(&Request::unpack(asked, from_halves(high, low)));
    if matches!(decision.verdict, Verdict::Allowed) || decision.place == Decision::NOBODY {
        return decision.pack(0, 0);
    }
    if NAMED && matches!(decision.reason, Reason::NotAllowlisted) {
        decision.reason = Reason::ServerName;
    }
    let place = usize::from(decision.place) & (MAX_POLICIES_PER_WORKLOAD - 1);
    let policy = binding.policies[place];
    let head = table.heads[usize::from(policy) & (MAX_POLICIES - 1)];
    let rules = rules_of(slot, direction, policy, head, config);
    let found = match_policy(high, low, rules, asked);
    let found = Match(named(high, low, rules, asked, found));
    decision.pack(policy, decision.rule(found))
}

/// The policies on a known cgroup; none for 0.
#[inline(always)]
fn binding(slot: u8, cgroup: u64) -> Option<&'static Binding> {
    if cgroup == 0 {
        return None;
    }
    context::value(WORKLOADS.get_ptr_mut(WorkloadKey::new(slot, cgroup))).map(|binding| &*binding)
}

/// What is in force, with what a mining-pool message of the packet's workload leads to. For the few
/// packets that complete such a message, or are of a flow that had one when policies change: whose a
/// packet is costs a walk up the hierarchy.
#[inline(always)]
pub fn switch_of(ctx: *mut __sk_buff, switch: Switch) -> Switch {
    if switch.by_workload() {
        switch.with_stratum(Mode::or_strictest(stratum_of(ctx) as u8))
    } else {
        switch
    }
}

/// What a mining-pool message of the packet's workload leads to, a [`Mode`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn stratum_of(ctx: *mut __sk_buff) -> u32 {
    let Some(config) = CONFIG.get(0) else {
        return Mode::Enforce as u32;
    };
    let switch = config.switch();
    let slot = switch.policy_slot();
    let mode = match (binding(slot, of_packet(ctx)), POLICIES.get(u32::from(slot))) {
        (Some(binding), _) => binding.stratum(),
        (None, Some(table)) => table.node.stratum(),
        (None, None) => switch.stratum(),
    };
    mode as u32
}

/// Decides on an outgoing packet that may end anywhere.
#[inline(always)]
pub fn judge_anywhere(subject: u64, is_unknown: bool) -> Finding {
    unpack(deny_anywhere(subject, u64::from(is_unknown)))
}

/// Decides on a packet of a known cgroup, or of the node's where it is 0, that may end anywhere; bit 0 of
/// `way` says whether it is of another cgroup beneath. Returns a [`Decision`]'s word. Global: see
/// `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn deny_anywhere(cgroup: u64, way: u64) -> u64 {
    let Some(config) = CONFIG.get(0) else {
        return 0;
    };
    let slot = config.switch().policy_slot();
    let Some(table) = POLICIES.get(u32::from(slot)) else {
        return 0;
    };
    let binding = binding(slot, cgroup).unwrap_or(&table.node);
    if way & 1 != 0 && binding.flags & Binding::CLOSED_BELOW != 0 {
        return Decision::UNKNOWN_WORKLOAD.pack(0, 0);
    }
    let mut tally = Tally::default();
    for place in 0..MAX_POLICIES_PER_WORKLOAD {
        if place >= usize::from(binding.count) {
            break;
        }
        let head = table.heads[usize::from(binding.policies[place]) & (MAX_POLICIES - 1)];
        let found = head.on_anywhere(Direction::Egress);
        tally.add(place as u32, head, Direction::Egress, found);
    }
    let mut decision = tally.decide(&ANYWHERE);
    if matches!(decision.verdict, Verdict::Allowed) || decision.place == Decision::NOBODY {
        return Decision { verdict: Verdict::Allowed, ..decision }.pack(0, 0);
    }
    decision.reason = Reason::SourceRoute;
    let place = usize::from(decision.place) & (MAX_POLICIES_PER_WORKLOAD - 1);
    decision.pack(binding.policies[place], 0)
}

/// Which rules of a policy are asked: a [`Scope`], [`learn::BY_NAME`] where there are some on names, and
/// [`learn::SIDE`] for the side of what was learned that is written now.
#[inline(always)]
fn rules_of(slot: u8, direction: Direction, policy: u16, head: PolicyHead, config: &Config) -> u64 {
    let by_name = u64::from(head.names >> direction as u8 & 1);
    let side = u64::from(config.learning.side & 1);
    let scope = u64::from(Scope::new(slot, direction, policy).0);
    scope | (by_name * learn::BY_NAME) | (side * learn::SIDE)
}

/// What a policy says of the names that led to an address, beside what it says of the address. Without
/// a branch: see [`Tally`]. The side that was left behind is asked first: what is not there any more
/// has been moved to the other before.
#[inline(always)]
fn named(high: u64, low: u64, rules: u64, asked: u64, found: u32) -> u32 {
    let found = match_names(high, low, rules ^ learn::SIDE, asked, u64::from(found));
    match_names(high, low, rules, asked, u64::from(found))
}

/// What one policy says, a [`Match`]; `scope` is what [`rules_of`] says. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn match_policy(high: u64, low: u64, scope: u64, asked: u64) -> u32 {
    let address = from_halves(high, low);
    let key = Key::new(KEY_BITS, PrefixKey { scope: Scope(scope as u32).bytes(), address });
    match PREFIXES.get(&key) {
        Some(rules) => rules.find(&Request::unpack(asked, address)).0,
        None => Match::NONE.0,
    }
}
