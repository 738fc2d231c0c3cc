//! What userspace tells the programs: the one value of the map `CONFIG`.

use crate::verdict::Mode;

/// What is in force, in one word: userspace replaces it in one aligned store and a program loads it
/// once, so no packet is judged by half of one policy and half of another.
///
/// Bits 0..32 the generation, 32..34 the [`Mode`] of the allowlist, 34..36 that of mining-pool
/// messages, 36..40 the allowlist's slot, 40..64 the number of the signature set, whose slot is its
/// lowest bit. The number is long enough not to come round in a flow's life: one swap every two
/// seconds uses it up in a year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch(pub u64);

impl Switch {
    /// Packs what is to be in force.
    #[inline(always)]
    #[must_use]
    pub const fn new(
        generation: u32,
        egress: Mode,
        stratum: Mode,
        policy_slot: u8,
        signatures: u32,
    ) -> Self {
        Self(
            generation as u64
                | (egress as u64 & 3) << 32
                | (stratum as u64 & 3) << 34
                | (policy_slot as u64 & 15) << 36
                | (signatures as u64) << 40,
        )
    }

    /// Number of the policy; never 0 once the agent is up.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.0 as u32
    }

    /// Whether destinations are judged.
    #[inline(always)]
    #[must_use]
    pub const fn egress(self) -> Mode {
        mode((self.0 >> 32) as u8 & 3)
    }

    /// Whether payload is read.
    #[inline(always)]
    #[must_use]
    pub const fn stratum(self) -> Mode {
        mode((self.0 >> 34) as u8 & 3)
    }

    /// Slot of the allowlist, 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn policy_slot(self) -> u8 {
        (self.0 >> 36) as u8 & 15
    }

    /// Number of the signature set, 24 bits: a direction read by another one begins to recognise
    /// anew.
    #[inline(always)]
    #[must_use]
    pub const fn signatures(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// Number of the signature set that follows; never 0, which is that of no set.
    #[inline(always)]
    #[must_use]
    pub const fn next_signatures(self) -> u32 {
        let next = (self.signatures() + 1) & 0x00ff_ffff;
        // Not 1, which is odd like the last number: the slot is the lowest bit.
        if next == 0 { 2 } else { next }
    }

    /// Slot of the signature set, 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn signature_slot(self) -> u32 {
        self.signatures() & 1
    }
}

/// A mode from its wire value. An unknown one can only come from a writer of another version, and
/// then the strictest is the safe reading.
#[inline(always)]
const fn mode(wire: u8) -> Mode {
    match wire {
        0 => Mode::Off,
        1 => Mode::Audit,
        _ => Mode::Enforce,
    }
}

/// The one value of the map `CONFIG`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// A [`Switch`].
    pub switch: u64,
    /// [`crate::event::ABI_VERSION`] of the writer.
    pub abi_version: u32,
    /// Depth of `cgroup` under the hierarchy's root.
    pub depth: u32,
    /// Id of the cgroup to which the probes keep, 0 for all: unlike the cgroup hooks they see every
    /// task.
    pub cgroup: u64,
    /// Where kernel structures keep what the probes read.
    pub offsets: Offsets,
}

impl Config {
    /// What is in force.
    #[inline(always)]
    #[must_use]
    pub const fn switch(&self) -> Switch {
        Switch(self.switch)
    }
}

/// Byte offsets in this kernel's structures, from its BTF. 0 is "not found" except where noted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `task_struct.group_leader`
    pub group_leader: u32,
    /// `task_struct.start_boottime`
    pub start_boottime: u32,
    /// `sock_common.skc_daddr`, at offset 0 on every kernel so far.
    pub skc_daddr: u32,
    /// `sock_common.skc_rcv_saddr`
    pub skc_rcv_saddr: u32,
    /// `sock_common.skc_dport`, network byte order.
    pub skc_dport: u32,
    /// `sock_common.skc_num`, host byte order.
    pub skc_num: u32,
    /// `sock_common.skc_family`
    pub skc_family: u32,
    /// `sock_common.skc_v6_daddr`
    pub skc_v6_daddr: u32,
    /// `sock_common.skc_v6_rcv_saddr`
    pub skc_v6_rcv_saddr: u32,
    /// `sock_common.skc_cookie`
    pub skc_cookie: u32,
}

/// A remembered owner, in slot `cookie % OWNER_SLOTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerSlot {
    /// The socket's cookie; the slot may since belong to another socket.
    pub cookie: u64,
    /// 1 when it was seen to connect, not only to be made.
    pub outbound: u64,
    /// Its owner.
    pub owner: crate::flow::Owner,
}

const _: () = assert!(size_of::<Config>() == 24 + 40);
