//! sentinel's kernel programs: thin shells around `sentinel-common`.
//!
//! | hook | sees | decides |
//! |---|---|---|
//! | `cgroup_skb/egress`, `/ingress` | every IP packet of a socket | stratum on any flow; the destination of everything that no connect hook saw |
//! | `cgroup/connect4`, `/connect6` | the caller of `connect(2)` | the destination, with `EPERM` at once; remembers the owner |
//! | `cgroup/sendmsg4`, `/sendmsg6` | the sender of a datagram to an address | the same |
//! | `cgroup/sock_create` | the maker of a socket of IP | raw ones, where they are refused; remembers the owner |
//! | `lsm_cgroup/socket_create` | the maker of any socket | the same, and those that are no IP |
//! | `classifier` | every frame at the host's end of a workload's wire | the destination of what no hook on a socket has judged |
//! | `kprobe/tcp_connect`, `kprobe/inet_csk_listen_start` | connections and listeners, cgroup hooks or not | nothing: tells |
//! | `raw_tracepoint/inet_sock_set_state` | the same, where the kernel has no kprobes | nothing: tells |
//! | `raw_tracepoint/sched_process_fork`, `_exec`, `_exit` | every process of the host | nothing: tells who is who |
//!
//! The crate also builds on the host, as an empty program, so that every tool reads it.
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]
#![cfg_attr(
    target_arch = "bpf",
    allow(clippy::indexing_slicing, reason = "an index that can be out of range does not load")
)]
#![cfg_attr(
    target_arch = "bpf",
    allow(
        clippy::needless_borrows_for_generic_args,
        reason = "a key that is given away is copied once more onto a stack of 512 bytes"
    )
)]
// One locked addition, in `context.rs`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod bench;
#[cfg(target_arch = "bpf")]
mod cgroup_skb;
#[cfg(target_arch = "bpf")]
mod context;
#[cfg(target_arch = "bpf")]
mod destination;
#[cfg(target_arch = "bpf")]
mod dns;
#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod ends;
#[cfg(target_arch = "bpf")]
mod learn;
#[cfg(target_arch = "bpf")]
mod lookup;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod name;
#[cfg(target_arch = "bpf")]
mod owner;
#[cfg(target_arch = "bpf")]
mod payload;
#[cfg(target_arch = "bpf")]
mod probe;
#[cfg(target_arch = "bpf")]
mod process;
#[cfg(target_arch = "bpf")]
mod reading;
#[cfg(target_arch = "bpf")]
mod replay;
#[cfg(target_arch = "bpf")]
mod sched_cls;
#[cfg(target_arch = "bpf")]
mod sock_addr;
#[cfg(target_arch = "bpf")]
mod sock_create;
#[cfg(target_arch = "bpf")]
mod storage;
#[cfg(target_arch = "bpf")]
mod tell;
#[cfg(target_arch = "bpf")]
mod workload;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// A reachable panic must not load: the loop makes the verifier refuse the program.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
