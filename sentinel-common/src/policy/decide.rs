//! The decision.

use super::{ICMPV6, Match, PolicyHead, Request};
use crate::address::is_loopback;
use crate::flow::Direction;
use crate::verdict::{Reason, Verdict};

/// The answer: what happens, why, and which of the workload's policies said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The policy's place among those of the workload, or [`Decision::NOBODY`].
    pub place: u8,
    /// It is so on a condition: a connection whose ClientHello names no server that the rules mean is
    /// decided on again, without the rules that demand one.
    pub demands: bool,
}

impl Decision {
    /// No policy said it.
    pub const NOBODY: u8 = 0xff;

    /// Of a cgroup that no policy has been chosen for yet, where it may reach nothing until then.
    pub const UNKNOWN_WORKLOAD: Self =
        Self { verdict: Verdict::Blocked, ..Self::allowed(Reason::UnknownWorkload) };

    const fn allowed(reason: Reason) -> Self {
        Self { verdict: Verdict::Allowed, reason, place: Self::NOBODY, demands: false }
    }

    /// The rule that this decision names, of what its policy says; 0 is the policy's default.
    #[inline(always)]
    #[must_use]
    pub const fn rule(&self, found: Match) -> u16 {
        match self.reason {
            Reason::Denied => found.denying(),
            Reason::Allowlisted | Reason::ServerName => found.allowing(),
            _ => 0,
        }
    }

    /// In one word, which a function of the kernel's can return; `policy` and `rule` are the numbers
    /// behind `place`. Bits 0..32 those, 32..40 the reason, 40..48 the verdict, 48 whether it `demands`.
    #[inline(always)]
    #[must_use]
    pub const fn pack(&self, policy: u16, rule: u16) -> u64 {
        source(policy, rule) as u64
            | (self.reason as u64) << 32
            | (self.verdict as u64) << 40
            | (self.demands as u64) << 48
    }
}

/// Policy and rule in one word, as events carry them; both count from 1.
#[inline(always)]
#[must_use]
pub const fn source(policy: u16, rule: u16) -> u32 {
    (policy as u32) << 16 | rule as u32
}

/// Whether [`Tally::decide`] needs any policy to be asked at all.
#[inline(always)]
#[must_use]
pub fn needs_lookup(request: &Request) -> bool {
    !is_loopback(&request.remote) && !is_neighbour_discovery(request)
}

/// What the policies on a workload say of one request: a bit for each, by its place.
///
/// Sums without a branch: the kernel's verifier follows both ways of every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    enforced: u32,
    audited: u32,
    isolates: u32,
    allows: u32,
    demands: u32,
    denies: u32,
}

impl Tally {
    /// Takes what the policy at a place, below 32, says.
    #[inline(always)]
    pub const fn add(&mut self, place: u32, head: PolicyHead, way: Direction, found: Match) {
        let place = place & 31;
        let mode = head.mode as u32;
        self.enforced |= (mode >> 1 & 1) << place;
        self.audited |= (mode & !(mode >> 1) & 1) << place;
        self.isolates |= (head.isolates as u32 >> way as u32 & 1) << place;
        self.allows |= is_some(found.allowing()) << place;
        self.demands |= (found.demands() as u32) << place;
        self.denies |= is_some(found.denying()) << place;
    }

    /// Decides on one destination, or on one caller.
    ///
    /// The policies on a workload are equals, and add up:
    /// 1. this host itself: allowed;
    /// 2. neighbour discovery and multicast listener discovery: allowed;
    /// 3. a rule of a policy under enforcement denies it: blocked;
    /// 4. policies under enforcement isolate the workload in this direction and none of their rules
    ///    allows it: blocked;
    /// 5. a rule of a policy under audit denies it: audited;
    /// 6. a policy under audit isolates the workload and no rule of any policy allows it: audited;
    /// 7. a rule allows it: allowed, by that rule;
    /// 8. nobody isolates the workload: allowed.
    ///
    /// So a policy under audit never changes what gets through, a denial is stronger than any
    /// permission, and a list without an entry (`egress: []`) allows nothing, while a policy without the
    /// list says nothing of that direction. Where several say the same, the first is named.
    ///
    /// A rule that demands a server's name allows until the ClientHello is there; then it is decided
    /// again, by the rules that the name fulfils and those that demand none.
    #[inline(always)]
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        if is_loopback(&request.remote) {
            return Decision::allowed(Reason::Loopback);
        }
        if is_neighbour_discovery(request) {
            return Decision::allowed(Reason::Neighbour);
        }
        let unnamed = match request.port {
            Some(_) => Reason::NotAllowlisted,
            None => Reason::Fragment,
        };
        let Self { enforced, audited, isolates, allows, demands, denies } = *self;
        let in_force = enforced | audited;
        let free = allows & !demands;
        let demands = is_any(isolates & enforced)
            & is_any(demands & enforced)
            & (1 - is_any(free & enforced))
            | is_any(isolates & audited)
                & is_any(demands & in_force)
                & (1 - is_any(free & in_force));
        let decision = if denies & enforced != 0 {
            by(Verdict::Blocked, Reason::Denied, denies & enforced)
        } else if isolates & enforced != 0 && allows & enforced == 0 {
            by(Verdict::Blocked, unnamed, isolates & enforced)
        } else if denies & audited != 0 {
            by(Verdict::Audited, Reason::Denied, denies & audited)
        } else if isolates & audited != 0 && allows & in_force == 0 {
            by(Verdict::Audited, unnamed, isolates & audited)
        } else if allows & enforced != 0 {
            by(Verdict::Allowed, Reason::Allowlisted, allows & enforced)
        } else if allows & audited != 0 {
            by(Verdict::Allowed, Reason::Allowlisted, allows & audited)
        } else {
            Decision::allowed(Reason::Unremarkable)
        };
        Decision { demands: demands != 0, ..decision }
    }
}

/// 1 for a rule, 0 for none, without a branch.
#[inline(always)]
const fn is_some(rule: u16) -> u32 {
    (rule as u32 + 0xffff) >> 16
}

/// 1 for some places, 0 for none; likewise.
#[inline(always)]
const fn is_any(places: u32) -> u64 {
    (places as u64 + 0xffff_ffff) >> 32
}

#[inline(always)]
const fn by(verdict: Verdict, reason: Reason, places: u32) -> Decision {
    Decision { verdict, place: places.trailing_zeros() as u8, ..Decision::allowed(reason) }
}

/// ICMPv6 types 130 to 132 and 143 (RFC 2710, RFC 3810) and 133 to 137 (RFC 4861).
#[inline(always)]
fn is_neighbour_discovery(request: &Request) -> bool {
    request.protocol == ICMPV6
        && (matches!(request.icmp_type, 130..=137) || request.icmp_type == 143)
}
