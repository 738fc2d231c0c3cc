//! Verdicts and their reasons: one enum is the wire value, the counter's index and the metric label.

use crate::learn::Lesson;

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $value:literal => $label:literal,)+ }) => {
        $(#[$meta])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant = $value,)+ }

        impl $name {
            /// Every variant, in the order of its wire value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The variant with this wire value; `None` when it is from another version.
            #[must_use]
            pub const fn from_wire(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$variant),)+ _ => None }
            }

            /// The metric label and journal word.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}
pub(crate) use wire_enum;

wire_enum! {
    /// What was done with a packet or a call.
    Verdict {
        /// It went on.
        Allowed = 0 => "allowed",
        /// It went on, and would not have under enforcement.
        Audited = 1 => "audited",
        /// It was dropped, or refused with `EPERM`.
        Blocked = 2 => "blocked",
    }
}

wire_enum! {
    /// What a finding leads to.
    Mode {
        /// Not looked for.
        Off = 0 => "off",
        /// Reported, nothing dropped.
        Audit = 1 => "audit",
        /// Reported and blocked.
        Enforce = 2 => "enforce",
    }
}

impl Mode {
    /// A mode from its wire value. An unknown one can only come from a writer of another version, and
    /// then the strictest is the safe reading.
    #[inline(always)]
    #[must_use]
    pub const fn or_strictest(wire: u8) -> Self {
        match wire {
            0 => Self::Off,
            1 => Self::Audit,
            _ => Self::Enforce,
        }
    }

    /// The verdict on a finding under this mode.
    #[inline(always)]
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Off => Verdict::Allowed,
            Self::Audit => Verdict::Audited,
            Self::Enforce => Verdict::Blocked,
        }
    }
}

wire_enum! {
    /// Why.
    Reason {
        /// Nothing spoke against it.
        Unremarkable = 0 => "unremarkable",
        /// A mining-pool message was read on the flow.
        Stratum = 1 => "stratum",
        /// A rule of the allowlist names the destination.
        Allowlisted = 2 => "allowlisted",
        /// No rule of the allowlist names the destination.
        NotAllowlisted = 3 => "not_allowlisted",
        /// The destination is this host itself.
        Loopback = 4 => "loopback",
        /// Neighbour discovery or multicast listener discovery: IPv6 does not work without.
        Neighbour = 5 => "neighbour_discovery",
        /// The packet's headers could not be read.
        Unreadable = 6 => "unreadable",
        /// A fragment behind the first one: its ports are unknown, only address rules apply.
        Fragment = 7 => "fragment",
        /// A connection whose socket no cgroup hook has seen.
        UnseenConnect = 8 => "unseen_connect",
        /// A socket began to listen.
        Listen = 9 => "listen",
        /// A mining pool's name was asked for, in a DNS question or a TLS handshake.
        PoolName = 10 => "pool_name",
        /// The destination is a mining pool's address, by a feed.
        PoolAddress = 11 => "pool_address",
        /// A coin's nodes talk among themselves: no pool mining, but a node that may mine.
        PeerToPeer = 12 => "peer_to_peer",
        /// The sizes and order of stratum V2's Noise handshake: a suspicion, no proof.
        NoiseHandshake = 13 => "noise_handshake",
        /// A flow that cannot be read behaves like a miner's: a score, no proof.
        EncryptedMining = 14 => "encrypted_mining",
        /// A rule of a policy denies it.
        Denied = 15 => "denied",
        /// The workload's cgroup is new, and may reach nothing before policies are chosen for it.
        UnknownWorkload = 16 => "unknown_workload",
        /// The packet says by which hops it wants to go: where it ends cannot be judged.
        SourceRoute = 17 => "source_route",
        /// Neither IP nor ARP.
        NotIp = 18 => "not_ip",
        /// A raw socket, or one whose packets are no IP, where none may be made.
        RawSocket = 19 => "raw_socket",
        /// The rule demands a server's name, and what the connection says is no ClientHello with one of
        /// the rule's.
        ServerName = 20 => "server_name",
    }
}

wire_enum! {
    /// What was lost, skipped or could not be done: every one is a metric, none is silent.
    Loss {
        /// Events for which the ring buffer had no room.
        Event = 0 => "event",
        /// Flows whose state could not be allocated: they go uninspected.
        FlowState = 1 => "flow_state",
        /// Segments that arrived with bytes before them missing.
        SequenceGap = 2 => "sequence_gap",
        /// Messages longer than the message budget: the rest was not read.
        LongMessage = 3 => "long_message",
        /// Flows whose owner had been forgotten when it was asked for.
        Owner = 4 => "owner",
        /// Payload that the kernel would not hand out.
        Payload = 5 => "payload",
        /// Sockets without a kernel object to keep state on.
        Socketless = 6 => "socketless",
        /// Answers to lookups that were not told: too much waited in the ring buffer, or the message
        /// began in a segment before.
        Lookup = 7 => "lookup",
        /// News of processes for which their ring buffer had no room.
        Process = 8 => "process",
    }
}

/// Slots of the counter array: every pair of reason and verdict, then every loss, then every lesson.
pub const COUNTERS: usize = Reason::COUNT * Verdict::COUNT + Loss::COUNT + Lesson::COUNT;

/// The slot that counts packets and calls with this outcome.
#[inline(always)]
#[must_use]
pub const fn outcome_counter(reason: Reason, verdict: Verdict) -> u32 {
    (reason as usize * Verdict::COUNT + verdict as usize) as u32
}

/// The slot that counts this loss.
#[inline(always)]
#[must_use]
pub const fn loss_counter(loss: Loss) -> u32 {
    (Reason::COUNT * Verdict::COUNT + loss as usize) as u32
}

/// The slot that counts this lesson.
#[inline(always)]
#[must_use]
pub const fn lesson_counter(lesson: Lesson) -> u32 {
    (Reason::COUNT * Verdict::COUNT + Loss::COUNT + lesson as usize) as u32
}
