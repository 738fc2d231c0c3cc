//! Records that cross from the kernel to userspace: `repr(C)`, integers and byte arrays only, no
//! implicit padding, multi-byte integers in the host's byte order unless a field says otherwise.

use crate::address::Address;
use crate::flow::Owner;
use crate::limits::EXCERPT;
use crate::verdict::wire_enum;

/// Changes whenever a record or a map's layout does: a loader refuses an object of another number.
pub const ABI_VERSION: u32 = 4;

wire_enum! {
    /// What an event tells of.
    Kind {
        /// A mining-pool message on a flow.
        Stratum = 1 => "stratum",
        /// A destination that no policy allows.
        Egress = 2 => "egress",
        /// A socket that began to listen.
        Listen = 3 => "listen",
        /// A connection that no cgroup hook has seen.
        Connect = 4 => "connect",
        /// A DNS question.
        Dns = 5 => "dns",
        /// A TLS handshake's server name.
        Tls = 6 => "tls",
        /// A coin's peer-to-peer protocol.
        PeerToPeer = 7 => "peer_to_peer",
        /// What may be mining and cannot be read.
        Suspicion = 8 => "suspicion",
        /// A caller that no policy allows.
        Ingress = 9 => "ingress",
    }
}

wire_enum! {
    /// Which program saw it.
    Hook {
        /// `cgroup_skb/egress`
        SkbEgress = 0 => "cgroup_skb_egress",
        /// `cgroup_skb/ingress`
        SkbIngress = 1 => "cgroup_skb_ingress",
        /// `cgroup/connect4`
        Connect4 = 2 => "connect4",
        /// `cgroup/connect6`
        Connect6 = 3 => "connect6",
        /// `cgroup/sendmsg4`
        Sendmsg4 = 4 => "sendmsg4",
        /// `cgroup/sendmsg6`
        Sendmsg6 = 5 => "sendmsg6",
        /// `kprobe/tcp_connect`, `kprobe/inet_csk_listen_start`
        Kprobe = 6 => "kprobe",
        /// `raw_tracepoint/inet_sock_set_state`
        Tracepoint = 7 => "tracepoint",
        /// BPF_PROG_TEST_RUN by `sentinel replay`
        Replay = 8 => "replay",
        /// Traffic control, where a workload's wire enters the host
        Wire = 9 => "wire",
    }
}

/// One event.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Time it was seen, nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The socket's cookie (`SO_COOKIE`), 0 when unknown.
    pub cookie: u64,
    /// The socket's cgroup: the subject of policy; 0 when the hook cannot tell.
    pub cgroup: u64,
    /// Tokens the speaking side has said.
    pub tokens: u64,
    /// Tokens the other side has said.
    pub peer_tokens: u64,
    /// Who opened the socket; `tgid` 0 when unknown.
    pub owner: Owner,
    /// This host's end.
    pub local: Address,
    /// The other end.
    pub remote: Address,
    /// This host's port.
    pub local_port: u16,
    /// The other end's port.
    pub remote_port: u16,
    /// Number of the rule: of the signature set for `Stratum`; for `Egress` and `Ingress` the policy's
    /// in the upper half and its rule's in the lower; of the feed where a feed speaks.
    pub rule: u32,
    /// Generation of the policy that judged.
    pub generation: u32,
    /// Bytes of this direction read before the verdict.
    pub bytes: u32,
    /// For `Stratum`, number of the signature set that `rule` and the tokens are of.
    pub signatures: u32,
    /// [`Event::PASSED`], [`Event::CALLERS`]
    pub flags: u32,
    /// A [`Kind`].
    pub kind: u8,
    /// A [`crate::verdict::Verdict`].
    pub verdict: u8,
    /// A [`crate::verdict::Reason`].
    pub reason: u8,
    /// A [`Hook`].
    pub hook: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`crate::flow::Direction`].
    pub direction: u8,
    /// Bytes of `excerpt` in use.
    pub excerpt_len: u16,
    /// The payload that completed the match, from its first byte on; of a `Dns` or `Tls` event the
    /// name, lower-case and dotted.
    pub excerpt: [u8; EXCERPT],
}

impl Event {
    /// Another process than `owner` has made the socket or used it before.
    pub const PASSED: u32 = 1;
    /// `cgroup` is the caller's: which one the socket was made in is not known.
    pub const CALLERS: u32 = 2;
}

const _: () = assert!(size_of::<Event>() == 40 + 40 + 32 + 4 + 20 + 8 + EXCERPT);
