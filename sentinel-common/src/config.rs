//! What userspace tells the programs: the one value of the map `CONFIG`.

use crate::verdict::Mode;

/// `SOCK_STREAM` (include/linux/net.h).
pub const SOCK_STREAM: u32 = 1;
/// `SOCK_RAW` (include/linux/net.h).
const SOCK_RAW: u32 = 3;
/// Families of sockets (include/linux/socket.h): those of IP, whose packets the hooks judge.
const IP: [u32; 2] = [2, 10];
/// `AF_UNIX`, `AF_KEY`, `AF_NETLINK`, `AF_ALG`: these reach nobody beyond this kernel.
const LOCAL: [u32; 4] = [1, 15, 16, 38];

/// What each kind of finding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// A destination that no policy allows: the strictest mode of all policies, `Off` without any.
    pub egress: Mode,
    /// A mining-pool message: the strictest mode of all workloads, since what nobody looks at is not read.
    pub stratum: Mode,
    /// A name or an address that a feed gives to mining pools.
    pub names: Mode,
    /// A coin's peer-to-peer protocol.
    pub peer_to_peer: Mode,
}

impl Modes {
    /// Nothing is looked at.
    pub const OFF: Self =
        Self { egress: Mode::Off, stratum: Mode::Off, names: Mode::Off, peer_to_peer: Mode::Off };
}

/// Which policies are in force, and what they are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Their slot, 0 or 1.
    pub slot: u8,
    /// Some are about workloads.
    pub by_workload: bool,
    /// Some are about what comes in.
    pub on_ingress: bool,
}

/// What is in force, in one word: userspace replaces it in one aligned store and a program loads it
/// once, so no packet is judged by half of one policy and half of another.
///
/// Bits 0..32 the generation, 32..40 two bits for each of [`Modes`] in the order of its fields,
/// 40 the slot of the policies, 41 whether some are about workloads, 42 whether some are about what
/// comes in, 48..64 the number of the signature set, whose slot is its lowest
/// bit. A set is put in force every two seconds at most, so its number comes round after a day and a
/// half of nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch(pub u64);

impl Switch {
    /// Packs what is to be in force.
    #[inline(always)]
    #[must_use]
    pub const fn new(generation: u32, modes: Modes, policies: Policies, signatures: u32) -> Self {
        Self(
            generation as u64
                | (modes.egress as u64) << 32
                | (modes.stratum as u64) << 34
                | (modes.names as u64) << 36
                | (modes.peer_to_peer as u64) << 38
                | (policies.slot as u64 & 1) << 40
                | (policies.by_workload as u64) << 41
                | (policies.on_ingress as u64) << 42
                | (signatures as u64) << 48,
        )
    }

    /// Number of the policy; never 0 once the agent is up.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.0 as u32
    }

    /// What each kind of finding leads to.
    #[inline(always)]
    #[must_use]
    pub const fn modes(self) -> Modes {
        Modes {
            egress: self.egress(),
            stratum: self.stratum(),
            names: self.names(),
            peer_to_peer: self.peer_to_peer(),
        }
    }

    /// Whether destinations are judged.
    #[inline(always)]
    #[must_use]
    pub const fn egress(self) -> Mode {
        Mode::or_strictest((self.0 >> 32) as u8 & 3)
    }

    /// Whether payload is read, and what a mining-pool message leads to where no workload says.
    #[inline(always)]
    #[must_use]
    pub const fn stratum(self) -> Mode {
        Mode::or_strictest((self.0 >> 34) as u8 & 3)
    }

    /// The same with another mode for mining: that of the workload at hand.
    #[inline(always)]
    #[must_use]
    pub const fn with_stratum(self, mode: Mode) -> Self {
        Self(self.0 & !(3 << 34) | (mode as u64) << 34)
    }

    /// Whether names are looked up.
    #[inline(always)]
    #[must_use]
    pub const fn names(self) -> Mode {
        Mode::or_strictest((self.0 >> 36) as u8 & 3)
    }

    /// Whether a coin's peer-to-peer protocol is told of.
    #[inline(always)]
    #[must_use]
    pub const fn peer_to_peer(self) -> Mode {
        Mode::or_strictest((self.0 >> 38) as u8 & 3)
    }

    /// Slot of the policies, 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn policy_slot(self) -> u8 {
        (self.0 >> 40) as u8 & 1
    }

    /// The policies in force.
    #[inline(always)]
    #[must_use]
    pub const fn policies(self) -> Policies {
        let (by_workload, on_ingress) = (self.by_workload(), self.on_ingress());
        Policies { slot: self.policy_slot(), by_workload, on_ingress }
    }

    /// Whether some policies are about workloads: then a packet's cgroup is asked for.
    #[inline(always)]
    #[must_use]
    pub const fn by_workload(self) -> bool {
        self.0 >> 41 & 1 == 1
    }

    /// Whether some policies are about what comes in.
    #[inline(always)]
    #[must_use]
    pub const fn on_ingress(self) -> bool {
        self.0 >> 42 & 1 == 1
    }

    /// Number of the signature set, 16 bits: a direction read by another one begins to recognise
    /// anew.
    #[inline(always)]
    #[must_use]
    pub const fn signatures(self) -> u32 {
        (self.0 >> 48) as u32
    }

    /// Number of the signature set that follows; never 0, which is that of no set.
    #[inline(always)]
    #[must_use]
    pub const fn next_signatures(self) -> u32 {
        let next = (self.signatures() + 1) & 0xffff;
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
    /// 1 while a feed holds prefixes: a trie is dear to ask, and mostly empty.
    pub feed_prefixes: u32,
    /// 1 to refuse raw sockets, and those that are no IP, to whoever is judged by an allowlist that is
    /// enforced.
    pub refuse_raw: u32,
    /// Where kernel structures keep what the probes read.
    pub offsets: Offsets,
    /// The secret of the names' hashes.
    pub name_key: crate::names::NameKey,
    /// What is learned of names.
    pub learning: Learning,
    /// Where they keep what is told of processes.
    pub tasks: crate::process::TaskOffsets,
}

impl Config {
    /// What is in force.
    #[inline(always)]
    #[must_use]
    pub const fn switch(&self) -> Switch {
        Switch(self.switch)
    }

    /// Whether a socket of this family and type (`SOCK_RAW` and so on, include/linux/net.h) may not be
    /// made by whom an enforced policy is about: frames, and what is no IP (`AF_PACKET`, `AF_XDP`,
    /// `AF_VSOCK`, `AF_RDS`, `AF_SMC`, `AF_TIPC`, `AF_CAN`...), pass the hooks by. A family that is not
    /// known here is taken for such.
    #[inline(always)]
    #[must_use]
    pub const fn refuses(&self, family: u32, socket_type: u32) -> bool {
        self.refuse_raw != 0
            && matches!(self.switch().egress(), Mode::Enforce)
            && passes_by(family, socket_type)
    }
}

const fn passes_by(family: u32, socket_type: u32) -> bool {
    let [unix, key, netlink, crypto] = LOCAL;
    let [v4, v6] = IP;
    if family == v4 || family == v6 {
        return socket_type == SOCK_RAW;
    }
    !(family == unix || family == key || family == netlink || family == crypto)
}

/// What the programs learn of names.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learning {
    /// [`Learning::TEACHES`], [`Learning::JUDGES`], [`Learning::TELLS`]; 0 costs nothing.
    pub on: u32,
    /// The side that is written, 0 or 1 (see [`crate::learn`]).
    pub side: u32,
    /// Inode number of the network namespace whose resolvers may be on its loopback device.
    pub netns: u32,
    /// Least seconds that an answer holds, whatever its time to live.
    pub floor: u32,
    /// Most seconds of a time to live that are believed.
    pub ceiling: u32,
    /// Seconds that an answer holds beyond its time to live.
    pub grace: u32,
}

impl Learning {
    /// There are patterns, and resolvers that may say which addresses they stand for.
    pub const TEACHES: u32 = 1;
    /// There are patterns: what was learned of them counts.
    pub const JUDGES: u32 = 2;
    /// There are resolvers: what they answer is told.
    pub const TELLS: u32 = 4;
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
    /// `sock_common.skc_net.net`
    pub skc_net: u32,
    /// `net.user_ns`
    pub net_user_ns: u32,
    /// `user_namespace.level`
    pub user_ns_level: u32,
    /// `net.ns.inum`
    pub net_inum: u32,
}

/// A remembered owner, in slot `cookie % OWNER_SLOTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerSlot {
    /// The socket's cookie; the slot may since belong to another socket.
    pub cookie: u64,
    /// [`OwnerSlot::OUTBOUND`], [`OwnerSlot::PASSED`]
    pub flags: u64,
    /// Its owner.
    pub owner: crate::flow::Owner,
    /// The cgroup it was made in, which policy is about; 0 where nobody saw it being made.
    pub cgroup: u64,
}

impl OwnerSlot {
    /// It was seen to connect, not only to be made.
    pub const OUTBOUND: u64 = 1;
    /// More than one process has used it, its maker included.
    pub const PASSED: u64 = 2;
}

const _: () = assert!(size_of::<Config>() == 24 + 8 + 56 + 16 + 24 + 112);
