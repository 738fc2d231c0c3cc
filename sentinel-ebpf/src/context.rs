//! The kernel's side of the border: pointers, helpers and their contracts. The only `unsafe` here.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{
    __sk_buff, BPF_LOCAL_STORAGE_GET_F_CREATE, bpf_sock, bpf_sock_addr, bpf_tcp_sock,
};
use aya_ebpf::helpers::generated;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use aya_ebpf::programs::{SockAddrContext, SockContext};
use core::mem::MaybeUninit;
use sentinel_common::address::{from_v4, from_words};
use sentinel_common::event::Event;
use sentinel_common::flow::{Flow, Owner};
use sentinel_common::limits::{CHUNK, COMM, EXCERPT};
use sentinel_common::names::{NAME_ROOM, NameSlot};
use sentinel_common::policy::TCP;
use sentinel_common::segment::PIECE;

use crate::maps::FLOWS;
use crate::sock_addr::Destination;

/// `SOCK_STREAM` (include/linux/net.h).
const SOCK_STREAM: u32 = 1;
/// Headers further into a packet than this are not read (8 extension headers rarely fill 400).
const HEADERS_END: u32 = 0x7ff;

/// A packet in a `cgroup_skb` program.
#[derive(Clone, Copy)]
pub struct Skb(pub *mut __sk_buff);

impl Skb {
    /// The state of the packet's flow; the helper refuses request and time-wait sockets itself.
    #[inline(always)]
    pub fn flow(self) -> Option<&'static mut Flow> {
        // SAFETY: the context is the program's argument, and `sk` is tested.
        unsafe {
            let sk = (*self.0).__bindgen_anon_2.sk;
            if sk.is_null() { None } else { Socket(sk).flow() }
        }
    }

    /// The TCP state of the packet's socket, if it is one of the kernel's own TCP; likewise.
    #[inline(always)]
    pub fn tcp(self) -> Option<&'static bpf_tcp_sock> {
        // SAFETY: as in `flow`; null is none.
        unsafe {
            let sk = (*self.0).__bindgen_anon_2.sk;
            if sk.is_null() { None } else { generated::bpf_tcp_sock(sk).as_ref() }
        }
    }

    /// The full socket behind the packet; none for request and time-wait sockets.
    #[inline(always)]
    pub fn socket(self) -> Option<Socket> {
        // SAFETY: as in `flow`; the helper's answer is tested before anyone uses it.
        unsafe {
            let sk = (*self.0).__bindgen_anon_2.sk;
            if sk.is_null() {
                return None;
            }
            let sk = generated::bpf_sk_fullsock(sk);
            if sk.is_null() { None } else { Some(Socket(sk)) }
        }
    }

    #[inline(always)]
    pub fn cookie(self) -> u64 {
        // SAFETY: takes the context of this program type.
        unsafe { generated::bpf_get_socket_cookie(self.0.cast()) }
    }

    #[inline(always)]
    pub fn interface(self) -> u32 {
        // SAFETY: the context is the program's argument.
        unsafe { (*self.0).ifindex }
    }

    /// State of the TCP socket with these ends (a `bpf_sock_tuple`) in a network namespace; 0 is none.
    #[inline(always)]
    pub fn tcp_state<const N: usize>(self, ends: &mut [u8; N], netns: u64) -> u32 {
        let tuple = ends.as_mut_ptr().cast();
        // SAFETY: the length is that of the tuple; a socket that was found is given back.
        unsafe {
            let socket = generated::bpf_skc_lookup_tcp(self.0.cast(), tuple, N as u32, netns, 0);
            if socket.is_null() {
                return 0;
            }
            let state = (*socket).state;
            generated::bpf_sk_release(socket.cast());
            state
        }
    }

    #[inline(always)]
    pub fn cgroup(self) -> u64 {
        // SAFETY: takes the context of this program type.
        unsafe { generated::bpf_skb_cgroup_id(self.0) }
    }

    /// Word `index` of the control buffer, which a test run sets.
    #[inline(always)]
    pub fn control(self, index: usize) -> u32 {
        // SAFETY: `cb` has five words and every caller names one of them by a constant.
        unsafe { (*self.0).cb[index & 3] }
    }

    /// Up to `CHUNK` payload bytes from `offset` on, and how many of them are the packet's.
    #[inline(always)]
    pub fn chunk(self, offset: u64, end: u64, buffer: &mut [u8; CHUNK]) -> Option<usize> {
        let left = end.wrapping_sub(offset);
        let len = if left > CHUNK as u64 { CHUNK as u64 } else { left };
        // `n & mask` alone may be 0, which older verifiers refuse as a length: 5.10 does not raise
        // the lower bound of a register that was compared with 0.
        let len = (len.wrapping_sub(1) & (CHUNK as u64 - 1)) + 1;
        // SAFETY: `len` is within the buffer.
        let loaded = unsafe { self.fill(offset as u32, buffer.as_mut_ptr(), len as u32) };
        if loaded { Some(len as usize) } else { None }
    }

    /// The caller has room for `len` bytes at `to`; all are written or it is not `true`.
    #[inline(always)]
    unsafe fn fill(self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's room.
        unsafe { generated::bpf_skb_load_bytes(self.0.cast(), offset, to.cast(), len) == 0 }
    }

    /// Loads a piece of at most `PIECE` bytes to its place in a name; both numbers are masked.
    #[inline(always)]
    pub fn name_piece(self, offset: u32, len: u32, name: &mut [u8; NAME_ROOM], at: u32) -> bool {
        let len = (len.wrapping_sub(1) & (PIECE - 1)) + 1;
        // SAFETY: `at` is below 256 and a piece 64 at most: together within the room of 320.
        unsafe { self.fill(offset, name.as_mut_ptr().add(at as usize & 255), len) }
    }

    /// Copies bytes of the packet to where they are wanted; leaves it as it is if they are missing.
    #[inline(always)]
    pub fn load_into<const N: usize>(self, offset: u32, to: &mut [u8; N]) {
        // SAFETY: the room has `N` bytes.
        unsafe { self.fill(offset, to.as_mut_ptr(), N as u32) };
    }

    /// Bytes from the IP header to the packet's end.
    #[inline(always)]
    pub fn packet_len(self) -> u32 {
        // SAFETY: the context is the program's argument.
        unsafe { (*self.0).len }
    }

    /// Bytes of the packet, through the helper.
    #[inline(always)]
    pub fn load<T: Plain>(self, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper fills all of the value or fails, and then it is not read; any bytes are
        // a value of a plain type.
        unsafe {
            let loaded = self.fill(offset, value.as_mut_ptr().cast(), size_of::<T>() as u32);
            if loaded { Some(value.assume_init()) } else { None }
        }
    }

    /// Header bytes: in place where they are linear; the helper finds them for test runs before 6.13
    /// (`data_end` is 0 there) and odd senders.
    #[inline(always)]
    pub fn header<T: Plain>(self, offset: u32) -> Option<T> {
        if offset > HEADERS_END {
            return None;
        }
        // SAFETY: `data` and `data_end` are the context's, and the comparison is what the verifier
        // asks for before it allows a read. The stack keeps IP headers on a 4-byte border
        // (NET_IP_ALIGN), and extension headers come in multiples of 8.
        unsafe {
            let start = (*self.0).data as usize + offset as usize;
            if start + size_of::<T>() <= (*self.0).data_end as usize {
                return Some((start as *const T).read());
            }
        }
        self.load(offset)
    }
}

/// Types of which any bytes are a value.
pub trait Plain {}
impl<const N: usize> Plain for [u8; N] {}
impl<const N: usize> Plain for [u32; N] {}

/// Room for a chunk of payload on the stack.
pub struct Chunk(MaybeUninit<[u64; CHUNK / 8]>);

impl Chunk {
    #[inline(always)]
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// The room, with every byte zero: to the verifier a helper's variable length writes nothing.
    #[inline(always)]
    pub fn zeroed(&mut self) -> &mut [u8; CHUNK] {
        let words = self.0.as_mut_ptr().cast::<u64>();
        zero(words, CHUNK / 8);
        // SAFETY: every byte was written, and bytes need no alignment.
        unsafe { &mut *words.cast::<[u8; CHUNK]>() }
    }
}

/// Zeroes `count` words from `words` on, which the caller has room for.
#[inline(always)]
fn zero(words: *mut u64, count: usize) {
    let mut index = 0;
    while index < count {
        // SAFETY: within the caller's room. Volatile, because LLVM would make a call to a byte-wise
        // `memset` of plain stores.
        unsafe { words.add(index).write_volatile(0) };
        index += 1;
    }
}

/// A full socket.
#[derive(Clone, Copy)]
pub struct Socket(*mut bpf_sock);

impl Socket {
    /// The flow's state, if it has some.
    #[inline(always)]
    pub fn flow(self) -> Option<&'static mut Flow> {
        self.storage(0)
    }

    /// The flow's state, made if need be; none when memory is short.
    #[inline(always)]
    pub fn flow_or_new(self) -> Option<&'static mut Flow> {
        self.storage(u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE))
    }

    /// Takes the flow's state away.
    #[inline(always)]
    pub fn forget_flow(self) {
        // SAFETY: the map is a socket storage; a socket without a value is an error code.
        unsafe {
            let map = (&raw const FLOWS).cast_mut().cast();
            generated::bpf_sk_storage_delete(map, self.0.cast());
        }
    }

    #[inline(always)]
    fn storage(self, flags: u64) -> Option<&'static mut Flow> {
        // SAFETY: the map is a socket storage of `Flow`; the answer is null or one of its values,
        // which lives at least as long as the program runs (RCU).
        unsafe {
            let map = (&raw const FLOWS).cast_mut().cast();
            let value =
                generated::bpf_sk_storage_get(map, self.0.cast(), core::ptr::null_mut(), flags);
            value.cast::<Flow>().as_mut()
        }
    }

    /// Whether this is a socket of the kernel's own TCP: a raw one may name TCP as its protocol too.
    #[inline(always)]
    pub fn is_tcp(self) -> bool {
        // SAFETY: a full socket, checked when it was made.
        unsafe { (*self.0).protocol == u32::from(TCP) && (*self.0).type_ == SOCK_STREAM }
    }
}

/// A map's value, if there is one, to be changed in place.
#[inline(always)]
pub fn value<T>(slot: Option<*mut T>) -> Option<&'static mut T> {
    // SAFETY: a map of `T` has just given it out, its value outlives the program (RCU), and what several
    // CPUs write at once is integers and bytes, of which any mixture is a value.
    unsafe { slot.and_then(|slot| slot.as_mut()) }
}

/// A number in a map as it is now: other functions change it behind the compiler's back.
#[inline(always)]
pub fn look(number: &u32) -> u32 {
    // SAFETY: a reference is valid for reading.
    unsafe { core::ptr::from_ref(number).read_volatile() }
}

/// Reads a `sock_addr` context. `v6` tells which fields the hook may read.
#[inline(always)]
pub fn destination(ctx: &SockAddrContext, v6: bool) -> Destination {
    let ctx: *mut bpf_sock_addr = ctx.sock_addr;
    // SAFETY: the context is the program's argument, and each field is one its hook may read.
    unsafe {
        let remote = if v6 {
            let ip = &raw const (*ctx).user_ip6;
            from_words([(*ip)[0], (*ip)[1], (*ip)[2], (*ip)[3]])
        } else {
            from_v4((*ctx).user_ip4.to_ne_bytes())
        };
        Destination {
            remote,
            port: u16::from_be((*ctx).user_port as u16),
            protocol: (*ctx).protocol as u8,
            cookie: generated::bpf_get_socket_cookie(ctx.cast()),
        }
    }
}

/// Cookie and type of the socket a `sock_create` program is asked about.
#[inline(always)]
pub fn created(ctx: &SockContext) -> (u64, u32) {
    // SAFETY: takes the context of this program type, which is a socket.
    unsafe { (generated::bpf_get_socket_cookie(ctx.as_ptr()), (*ctx.sock).type_) }
}

/// The calling task, where `current` is the caller.
#[inline(always)]
pub fn caller(group_leader: u32, start_boottime: u32) -> Owner {
    let mut owner = Owner::default();
    // SAFETY: helpers without pointers, or with one to `comm` and its size; the kernel reads go
    // through `bpf_probe_read_kernel`, which fails instead of faulting.
    unsafe {
        owner.cgroup = generated::bpf_get_current_cgroup_id();
        owner.tgid = (generated::bpf_get_current_pid_tgid() >> 32) as u32;
        owner.uid = generated::bpf_get_current_uid_gid() as u32;
        generated::bpf_get_current_comm(owner.comm.as_mut_ptr().cast(), COMM as u32);
        if start_boottime != 0 {
            let task = generated::bpf_get_current_task();
            let leader = read_kernel::<u64>(task.wrapping_add(u64::from(group_leader)));
            owner.start_time = read_kernel(leader.wrapping_add(u64::from(start_boottime)));
        }
    }
    owner
}

/// Whether the calling task is in a cgroup or below it, given its depth under the root.
#[inline(always)]
pub fn caller_is_within(cgroup: u64, depth: u32) -> bool {
    // SAFETY: no pointers; 0 where the task's cgroup has no ancestor so deep.
    unsafe { generated::bpf_get_current_ancestor_cgroup_id(depth as i32) == cgroup }
}

/// Reads kernel memory; zero where there is none.
#[inline(always)]
pub fn read_kernel<T: Copy + Default>(from: u64) -> T {
    let mut value = T::default();
    // SAFETY: the helper writes the size of `T` or zeroes it, and cannot fault.
    unsafe {
        let to = (&raw mut value).cast();
        generated::bpf_probe_read_kernel(to, size_of::<T>() as u32, from as *const _);
    }
    value
}

/// Adds one to a per-CPU counter of outcomes. Plain load and store, on the path of every packet: a
/// softirq that interrupts a program on the same CPU between the two loses one.
#[inline(always)]
pub fn increment(slot: *mut u64) {
    // SAFETY: a value of a per-CPU array of `u64`.
    unsafe { *slot = (*slot).wrapping_add(1) };
}

/// Adds one to a per-CPU counter of losses: exact, a locked addition (5 ns) on a path that is rare.
#[inline(always)]
pub fn increment_exactly(slot: *mut u64) {
    // SAFETY: a value of a per-CPU array of `u64`. The compiler knows no atomic addition for BPF.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) slot, in(reg) 1_u64, options(nostack));
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { generated::bpf_ktime_get_ns() }
}

/// A reserved event, written in place, every byte zero: the record goes to userspace whole.
#[inline(always)]
pub fn zeroed(entry: &mut RingBufEntry<Event>) -> &mut Event {
    zero(entry.as_mut_ptr().cast::<u64>(), size_of::<Event>() / 8);
    // SAFETY: integers and byte arrays, all written.
    unsafe { entry.assume_init_mut() }
}

/// Copies a name into an event.
#[inline(always)]
pub fn name(slot: &NameSlot, event: &mut Event) {
    let (from, to) = (slot.name.as_ptr().cast::<u64>(), event.excerpt.as_mut_ptr().cast::<u64>());
    let mut index = 0;
    while index < EXCERPT / 8 {
        // SAFETY: both rooms have the words, at a multiple of eight. Volatile: see `zero`.
        unsafe { to.add(index).write_volatile(from.add(index).read()) };
        index += 1;
    }
    event.excerpt_len = (slot.len & 0xff) as u16;
}

/// Copies the payload's beginning into an event.
#[inline(always)]
pub fn excerpt(skb: Skb, payload: u32, len: u32, event: &mut Event) {
    let len = if len > EXCERPT as u32 { EXCERPT as u32 } else { len };
    let len = (u64::from(len).wrapping_sub(1) & (EXCERPT as u64 - 1)) + 1;
    // SAFETY: `len` is within the excerpt.
    if unsafe { skb.fill(payload, event.excerpt.as_mut_ptr(), len as u32) } {
        event.excerpt_len = len as u16;
    }
}
