//! What cgroup hooks cannot see: listeners that open, and connections that bypass them.

use aya_ebpf::macros::{kprobe, raw_tracepoint};
use aya_ebpf::programs::{ProbeContext, RawTracePointContext};
use aya_ebpf::{EbpfContext, Global};
use aya_log_ebpf::debug;
use sentinel_common::address::{Address, from_v4};
use sentinel_common::config::{Config, Offsets};
use sentinel_common::event::{Event, Hook, Kind};
use sentinel_common::policy::TCP;
use sentinel_common::verdict::{Reason, Verdict};

use crate::context::{caller_ancestor, read_kernel};
use crate::emit::{count, tell};
use crate::maps::CONFIG;
use crate::owner::caller;

/// `TCP_SYN_SENT` and `TCP_LISTEN` (include/net/tcp_states.h).
const SYN_SENT: u64 = 2;
const LISTEN: u64 = 10;
const AF_INET: u16 = 2;

/// A `struct sock` in kernel memory, as a probe's argument hands it over.
#[derive(Clone, Copy)]
struct KernelSock(u64);

impl KernelSock {
    fn of_probe(ctx: &ProbeContext) -> Self {
        Self(ctx.arg::<u64>(0).unwrap_or(0))
    }

    fn of_tracepoint(ctx: &RawTracePointContext) -> Self {
        Self(ctx.arg::<u64>(0))
    }

    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: u32) -> T {
        read_kernel(self.0.wrapping_add(u64::from(offset)))
    }
}

/// match-proto v5.10 net/ipv4/tcp_output.c: `int tcp_connect(struct sock *sk)`
#[kprobe]
pub fn tcp_connect(ctx: ProbeContext) -> u32 {
    connecting(&ctx, KernelSock::of_probe(&ctx), Hook::Kprobe);
    0
}

/// match-proto v5.10 net/ipv4/inet_connection_sock.c:
/// `int inet_csk_listen_start(struct sock *sk, int backlog)`; without `backlog` since 5.17.
#[kprobe]
pub fn inet_csk_listen_start(ctx: ProbeContext) -> u32 {
    listening(&ctx, KernelSock::of_probe(&ctx), Hook::Kprobe);
    0
}

/// match-proto v5.10 include/trace/events/sock.h:
/// `TP_PROTO(const struct sock *sk, const int oldstate, const int newstate)`
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: RawTracePointContext) -> i32 {
    match ctx.arg::<u64>(2) {
        SYN_SENT => connecting(&ctx, KernelSock::of_tracepoint(&ctx), Hook::Tracepoint),
        LISTEN => listening(&ctx, KernelSock::of_tracepoint(&ctx), Hook::Tracepoint),
        _ => {}
    }
    0
}

/// A connection is worth telling of when its socket has no cookie: our connect hooks give every
/// socket one, so none of them has seen this socket.
#[inline(always)]
fn connecting(ctx: &impl EbpfContext, sock: KernelSock, hook: Hook) {
    let Some(config) = CONFIG.get(0) else {
        return;
    };
    if config.offsets.skc_num == 0
        || !is_watched(config)
        || sock.field::<u64>(config.offsets.skc_cookie) != 0
    {
        return;
    }
    count(Reason::UnseenConnect, Verdict::Audited);
    debug!(ctx, "no cgroup hook has seen this connection");
    report(sock, config, hook, Kind::Connect);
}

/// 1 where this kernel lets a probe ask for a task's ancestor cgroup; set by the loader. A constant
/// in the verifier's eyes: on the kernels without (5.10 is one) the call is dead code and goes.
#[unsafe(no_mangle)]
static ASKS_ANCESTOR: Global<u8> = Global::new(0);

/// Whether the calling task is one that the agent was asked to watch.
#[inline(always)]
fn is_watched(config: &Config) -> bool {
    ASKS_ANCESTOR.load() == 0
        || config.cgroup == 0
        || caller_ancestor(config.depth as i32) == config.cgroup
}

#[inline(always)]
fn listening(ctx: &impl EbpfContext, sock: KernelSock, hook: Hook) {
    let Some(config) = CONFIG.get(0) else {
        return;
    };
    if config.offsets.skc_num == 0 || !is_watched(config) {
        return;
    }
    count(Reason::Listen, Verdict::Allowed);
    debug!(ctx, "a listener on port {}", sock.field::<u16>(config.offsets.skc_num));
    report(sock, config, hook, Kind::Listen);
}

#[inline(always)]
fn report(sock: KernelSock, config: &Config, hook: Hook, kind: Kind) {
    let offsets = &config.offsets;
    let (local, remote) = addresses(sock, offsets);
    let owner = caller(config);
    tell(|event| {
        event.kind = kind as u8;
        event.hook = hook as u8;
        let listens = matches!(kind, Kind::Listen);
        event.verdict = (if listens { Verdict::Allowed } else { Verdict::Audited }) as u8;
        event.reason = (if listens { Reason::Listen } else { Reason::UnseenConnect }) as u8;
        event.generation = config.switch().generation();
        event.cookie = sock.field(offsets.skc_cookie);
        event.cgroup = owner.cgroup;
        event.flags = Event::CALLERS;
        event.owner = owner;
        event.local = local;
        event.remote = remote;
        event.local_port = sock.field(offsets.skc_num);
        event.remote_port = u16::from_be(sock.field(offsets.skc_dport));
        event.protocol = TCP;
    });
}

#[inline(always)]
fn addresses(sock: KernelSock, offsets: &Offsets) -> (Address, Address) {
    if sock.field::<u16>(offsets.skc_family) == AF_INET {
        let local = sock.field::<[u8; 4]>(offsets.skc_rcv_saddr);
        let remote = sock.field::<[u8; 4]>(offsets.skc_daddr);
        return (from_v4(local), from_v4(remote));
    }
    (sock.field(offsets.skc_v6_rcv_saddr), sock.field(offsets.skc_v6_daddr))
}
