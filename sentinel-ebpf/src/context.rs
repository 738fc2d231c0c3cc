//! The kernel's side of the border: pointers, helpers and their contracts. The only `unsafe` here.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, bpf_sock, bpf_sock_addr, bpf_tcp_sock};
use aya_ebpf::helpers::generated;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use aya_ebpf::programs::{SockAddrContext, SockContext};
use core::{ffi::c_void, mem::MaybeUninit};
use sentinel_common::address::{from_v4, from_words};
use sentinel_common::config::SOCK_STREAM;
use sentinel_common::event::Event;
use sentinel_common::flow::Owner;
use sentinel_common::limits::{CHUNK, COMM, EXCERPT};
use sentinel_common::names::{NAME_ROOM, NameSlot};
use sentinel_common::policy::TCP;
use sentinel_common::process::{ARGUMENTS_ROOM, PATH_ROOM};
use sentinel_common::segment::PIECE;

use crate::ends::Plain;
use crate::maps::FLOWS;
use crate::sock_addr::Destination;

/// A packet in a `cgroup_skb` program.
#[derive(Clone, Copy)]
pub struct Skb(pub *mut __sk_buff);

impl Skb {
    /// The packet's socket, whole or not.
    #[inline(always)]
    pub fn any_socket(self) -> Option<Socket> {
        // SAFETY: the context is the program's argument.
        let sk = unsafe { (*self.0).__bindgen_anon_2.sk };
        if sk.is_null() { None } else { Some(Socket(sk)) }
    }

    /// The TCP state of the packet's socket, if it is one of the kernel's own TCP; likewise.
    #[inline(always)]
    pub fn tcp(self) -> Option<&'static bpf_tcp_sock> {
        // SAFETY: the socket was tested; null is none.
        unsafe { generated::bpf_tcp_sock(self.any_socket()?.0).as_ref() }
    }

    /// The full socket behind the packet; none for request and time-wait sockets.
    #[inline(always)]
    pub fn socket(self) -> Option<Socket> {
        // SAFETY: the socket was tested, and so is the helper's answer.
        let sk = unsafe { generated::bpf_sk_fullsock(self.any_socket()?.0) };
        if sk.is_null() { None } else { Some(Socket(sk)) }
    }

    #[inline(always)]
    pub fn cookie(self) -> u64 {
        // SAFETY: takes the context of this program type.
        unsafe { generated::bpf_get_socket_cookie(self.0.cast()) }
    }

    /// The interface's index, and the EtherType of the frame.
    #[inline(always)]
    pub fn link(self) -> (u32, u16) {
        // SAFETY: the context is the program's argument.
        unsafe { ((*self.0).ifindex, u16::from_be((*self.0).protocol as u16)) }
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

    /// The other end's port as the socket knows it, 0 where it is connected to nobody.
    #[inline(always)]
    pub fn remote_port(self) -> u16 {
        // SAFETY: the context is the program's argument.
        unsafe { u16::from_be((*self.0).remote_port as u16) }
    }

    /// Whether the packet came over a loopback device: number 1 in every network namespace.
    #[inline(always)]
    pub fn is_over_loopback(self) -> bool {
        // SAFETY: the context is the program's argument.
        unsafe { (*self.0).ifindex == 1 || (*self.0).ingress_ifindex == 1 }
    }

    /// Where the kernel keeps the packet's socket. In a map's value the pointer becomes a number.
    #[inline(always)]
    pub fn socket_address(self, room: &mut u64) -> u64 {
        // SAFETY: the room is eight bytes, and a pointer is eight bytes.
        unsafe {
            (&raw mut *room).cast::<*mut bpf_sock>().write_volatile((*self.0).__bindgen_anon_2.sk);
            (&raw const *room).read_volatile()
        }
    }

    /// Id of the ancestor of the socket's cgroup at a level, the root being 0; 0 where there is none.
    #[inline(always)]
    pub fn ancestor(self, level: i32) -> u64 {
        // SAFETY: likewise.
        unsafe { generated::bpf_skb_ancestor_cgroup_id(self.0, level) }
    }

    /// Word `index` of the control buffer, which a test run sets.
    #[inline(always)]
    pub fn control(self, index: usize) -> u32 {
        // SAFETY: `cb` has five words and every caller names one of them by a constant.
        unsafe { (*self.0).cb[index & 3] }
    }

    /// The bytes from `at` to `end`, up to `N`, which is a power of two; and how many they are.
    #[inline(always)]
    pub fn chunk<const N: usize>(self, at: u64, end: u64, to: &mut [u8; N]) -> Option<usize> {
        let left = end.wrapping_sub(at);
        let len = if left > N as u64 { N as u64 } else { left };
        // `n & mask` alone may be 0, a length that 5.10 refuses even behind a comparison with 0.
        let len = (len.wrapping_sub(1) & (N as u64 - 1)) + 1;
        // SAFETY: `len` is within the buffer.
        let loaded = unsafe { self.fill(at as u32, to.as_mut_ptr(), len as u32) };
        loaded.then_some(len as usize)
    }

    /// The caller has room for `len` bytes at `to`; all are written or it is not `true`.
    #[inline(always)]
    unsafe fn fill(self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's room.
        unsafe { generated::bpf_skb_load_bytes(self.0.cast(), offset, to.cast(), len) == 0 }
    }

    /// Loads a piece of at most `PIECE` bytes to its place in a name.
    #[inline(always)]
    pub fn name_piece(self, offset: u32, len: u32, name: &mut [u8; NAME_ROOM], at: u32) -> bool {
        let len = (len.wrapping_sub(1) & (PIECE - 1)) + 1;
        // SAFETY: `at` is below 256 and a piece 64 at most: together within the room of 320.
        unsafe { self.fill(offset, name.as_mut_ptr().add(at as usize & 255), len) }
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
        // SAFETY: the helper fills all of the value, for which any bytes will do, or fails.
        unsafe {
            let loaded = self.fill(offset, value.as_mut_ptr().cast(), size_of::<T>() as u32);
            if loaded { Some(value.assume_init()) } else { None }
        }
    }

    /// Bytes of the packet, in place, where they are linear; `offset` within the headers.
    #[inline(always)]
    pub fn linear<T: Plain>(self, offset: u32) -> Option<T> {
        // SAFETY: `data` and `data_end` are the context's, compared as the verifier asks before a
        // read. IP headers are on a 4-byte border (NET_IP_ALIGN), extension headers multiples of 8.
        unsafe {
            let start = (*self.0).data as usize + offset as usize;
            let end = (*self.0).data_end as usize;
            if start + size_of::<T>() <= end { Some((start as *const T).read()) } else { None }
        }
    }
}

/// Room for a chunk of payload on the stack.
pub struct Chunk(MaybeUninit<[u64; CHUNK / 8]>);

impl Chunk {
    #[inline(always)]
    pub const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// The room, zeroed: in the verifier's eyes a helper's variable length initialises nothing.
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
    /// Takes the flow's state away.
    #[inline(always)]
    pub fn forget_flow(self) {
        let map = (&raw const FLOWS).cast_mut().cast();
        // SAFETY: the map is a socket storage; a socket without a value is an error code.
        unsafe { generated::bpf_sk_storage_delete(map, self.0.cast()) };
    }

    /// What a socket storage holds for this socket; `T` is that map's.
    #[inline(always)]
    pub fn storage<T>(self, map: *const c_void, flags: u64) -> Option<&'static mut T> {
        // SAFETY: the map is a socket storage of `T`; its values outlive the program (RCU).
        unsafe {
            let (map, sk) = (map.cast_mut(), self.0.cast());
            let value = generated::bpf_sk_storage_get(map, sk, core::ptr::null_mut(), flags);
            value.cast::<T>().as_mut()
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
    // SAFETY: a map of `T` has just given it out (RCU); any mixture of its integers is a value.
    unsafe { slot.and_then(|slot| slot.as_mut()) }
}

/// A number in a map as it is now: other functions change it, which the compiler does not see.
#[inline(always)]
pub fn look(number: &u32) -> u32 {
    // SAFETY: a reference is valid for reading.
    unsafe { core::ptr::from_ref(number).read_volatile() }
}

/// Reads a `sock_addr` context; `v6` tells which fields the hook may read. `::ffff:a.b.c.d` is v4-mapped.
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
            socket: Socket((*ctx).__bindgen_anon_1.sk),
        }
    }
}

/// Cookie, family and type of the socket a `sock_create` program is asked about.
#[inline(always)]
pub fn created(ctx: &SockContext) -> (u64, u32, u32) {
    let (ctx, sock) = (ctx.as_ptr(), ctx.sock);
    // SAFETY: takes the context of this program type, which is a socket.
    unsafe { (generated::bpf_get_socket_cookie(ctx), (*sock).family, (*sock).type_) }
}

/// The calling task, where `current` is the caller.
#[inline(always)]
pub fn caller(group_leader: u32, start_boottime: u32) -> Owner {
    let mut owner = Owner::default();
    // SAFETY: helpers without pointers, or with one to `comm` and its size, or that cannot fault.
    unsafe {
        owner.cgroup = generated::bpf_get_current_cgroup_id();
        owner.tgid = (generated::bpf_get_current_pid_tgid() >> 32) as u32;
        owner.uid = generated::bpf_get_current_uid_gid() as u32;
        generated::bpf_get_current_comm(owner.comm.as_mut_ptr().cast(), COMM as u32);
        if start_boottime != 0 {
            let leader = read_kernel::<u64>(task().wrapping_add(u64::from(group_leader)));
            owner.start_time = read_kernel(leader.wrapping_add(u64::from(start_boottime)));
        }
    }
    owner
}

/// The ancestor of the calling task's cgroup at a level; see [`Skb::ancestor`].
#[inline(always)]
pub fn caller_ancestor(level: i32) -> u64 {
    // SAFETY: no pointers.
    unsafe { generated::bpf_get_current_ancestor_cgroup_id(level) }
}

/// Reads kernel memory; zero where there is none.
#[inline(always)]
pub fn read_kernel<T: Copy + Default>(from: u64) -> T {
    let mut value = T::default();
    let (to, len) = ((&raw mut value).cast(), size_of::<T>() as u32);
    // SAFETY: the helper writes the size of `T` or zeroes it, and cannot fault.
    unsafe { generated::bpf_probe_read_kernel(to, len, from as *const _) };
    value
}

/// The calling task.
#[inline(always)]
pub fn task() -> u64 {
    // SAFETY: no arguments.
    unsafe { generated::bpf_get_current_task() }
}

/// Reads a text of kernel memory to `at` in the first half of the room; returns its length with its
/// NUL, 0 where there is none.
#[inline(always)]
pub fn read_text(from: u64, to: &mut [u8; PATH_ROOM], at: u32) -> u32 {
    let half = PATH_ROOM / 2;
    // SAFETY: from anywhere in the first half there is room for as much as the other half holds.
    let read = unsafe {
        let to = to.as_mut_ptr().add(at as usize & (half - 1));
        generated::bpf_probe_read_kernel_str(to.cast(), half as u32, from as *const _)
    };
    if read > 0 && read <= half as i64 { read as u32 } else { 0 }
}

/// Reads the caller's memory, 1 to all bytes of the room; false where it is not at hand.
#[inline(always)]
pub fn read_user(from: u64, to: &mut [u8; ARGUMENTS_ROOM], len: u32) -> bool {
    let len = (len.wrapping_sub(1) & (ARGUMENTS_ROOM as u32 - 1)) + 1;
    // SAFETY: no more than the room holds.
    unsafe { generated::bpf_probe_read_user(to.as_mut_ptr().cast(), len, from as *const _) == 0 }
}

/// A reserved record as it was found.
#[inline(always)]
pub fn as_found<T>(entry: &mut RingBufEntry<T>) -> &mut T {
    // SAFETY: the records are of integers and bytes, of which anything is a value.
    unsafe { entry.assume_init_mut() }
}

/// Adds one to a per-CPU counter of outcomes: a softirq between load and store loses one.
#[inline(always)]
pub fn increment(slot: *mut u64) {
    // SAFETY: a value of a per-CPU array of `u64`.
    unsafe { *slot = (*slot).wrapping_add(1) };
}

/// Adds one to a per-CPU counter, exactly: a locked addition (5 ns) on a path that is rare.
#[inline(always)]
pub fn increment_exactly(slot: *mut u64) {
    // SAFETY: a value of a per-CPU array of `u64`. The kernel knows this addition since 3.18.
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

/// A reserved record, every byte of it zero: it goes to userspace whole.
#[inline(always)]
pub fn zeroed<T: Plain>(entry: &mut RingBufEntry<T>) -> &mut T {
    zero(entry.as_mut_ptr().cast::<u64>(), size_of::<T>() / 8);
    as_found(entry)
}

/// Copies a name into an event.
#[inline(always)]
pub fn name(slot: &NameSlot, event: &mut Event) {
    let (from, to) = (slot.name.as_ptr().cast::<u64>(), (&raw mut event.excerpt).cast::<u64>());
    let mut index = 0;
    while index < EXCERPT / 8 {
        // SAFETY: both rooms have the words, at a multiple of eight. Volatile: see `zero`.
        unsafe { to.add(index).write_volatile(from.add(index).read()) };
        index += 1;
    }
    event.excerpt_len = (slot.len & 0xff) as u16;
}
