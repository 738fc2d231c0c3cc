//! Every `unsafe` block of the laboratory: what neither std nor rustix offers as a safe call.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::{CapabilitySet, LinkNameSpaceType, UnshareFlags};

/// Where a child stands before its program starts.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// An open `cgroup.procs` the child writes itself into.
    pub(crate) cgroup_procs: Option<OwnedFd>,
    /// The network namespace the child enters.
    pub(crate) netns: Option<OwnedFd>,
    /// The signal the child gets when the thread that started it ends.
    pub(crate) dies_with_parent: Option<Signal>,
    /// Capabilities that the program never gets.
    pub(crate) without: Option<CapabilitySet>,
}

/// Runs this in a copy of the calling process, which has one thread, and returns the copy's id. The copy
/// ends with it.
pub(crate) fn forked(act: impl FnOnce()) -> io::Result<rustix::process::Pid> {
    // SAFETY: there is no other thread that could hold a lock, and the copy ends within.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        act();
        // SAFETY: ends this process; nothing of its parent's is run.
        unsafe { libc::_exit(0) };
    }
    rustix::process::Pid::from_raw(pid.max(0)).ok_or_else(io::Error::last_os_error)
}

/// One frame as the kernel handed it over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// Bytes written to the buffer.
    pub(crate) len: usize,
    /// True for frames that leave through the interface, false for those that arrive.
    pub(crate) outgoing: bool,
    /// Kernel receive time since the Unix epoch.
    pub(crate) time: Duration,
}

/// Moves the calling thread, and no other, into a fresh network namespace.
pub(crate) fn unshare_net() -> io::Result<()> {
    // SAFETY: the flags do not contain FILES, so no descriptor table changes hands.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}

/// Makes `command` take its place between fork and exec.
pub(crate) fn place_before_exec(command: &mut Command, place: Place) {
    let step = move || {
        if let Some(procs) = &place.cgroup_procs {
            rustix::io::write(procs, b"0")?;
        }
        if let Some(netns) = &place.netns {
            let network = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(netns.as_fd(), network)?;
        }
        for capability in place.without.into_iter().flat_map(|set| set.iter()) {
            // What is not in this set no program that is executed gets.
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
        if let Some(signal) = place.dies_with_parent {
            rustix::process::set_parent_process_death_signal(Some(signal))?;
        }
        Ok(())
    };
    // SAFETY: after fork the closure only makes raw system calls on descriptors opened before;
    // it neither allocates nor takes a lock.
    unsafe { command.pre_exec(step) };
}

/// Opens a raw packet socket that hears every frame of one interface, with kernel timestamps.
pub(crate) fn packet_socket(interface: u32) -> io::Result<OwnedFd> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // Protocol 0: nothing is queued before bind() names the interface.
    // SAFETY: a plain system call; the result is checked before use.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: `fd` was just returned by the kernel and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let on: libc::c_int = 1;
    // SAFETY: the pointer and length describe `on`, which outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    })?;
    // SAFETY: sockaddr_ll is plain integers and arrays, for which all zeroes is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = protocol;
    address.sll_ifindex = interface as libc::c_int;
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    })?;
    Ok(socket)
}

/// Takes one waiting frame from a packet socket, or `None` if none waits.
pub(crate) fn receive_frame(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Option<Received>> {
    // SAFETY: sockaddr_ll is plain integers and arrays, for which all zeroes is a value.
    let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
    // u64 gives the alignment that cmsghdr needs.
    let mut control = [0u64; 16];
    let mut part =
        libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: size_of_val(buffer) };
    // SAFETY: msghdr is integers and pointers, for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of_val(&from) as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: every pointer in `message` names a live local with the length given beside it.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    if len < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    let outgoing = from.sll_pkttype == libc::PACKET_OUTGOING as libc::c_uchar;
    Ok(Some(Received { len: len.unsigned_abs(), outgoing, time: timestamp(&message) }))
}

/// The SO_TIMESTAMPNS control message of a received frame; zero if the kernel sent none.
fn timestamp(message: &libc::msghdr) -> Duration {
    // SAFETY: recvmsg filled msg_control and msg_controllen; the macros stay inside them.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR/CMSG_NXTHDR return null or a whole header inside the buffer.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_TIMESTAMPNS {
            // SAFETY: a control message of this type carries one timespec, perhaps unaligned.
            let time = unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
            return Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    Duration::ZERO
}

/// Frames the kernel dropped since the last call because the socket's buffer was full.
pub(crate) fn packet_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    // struct tpacket_stats: packets, drops.
    let mut stats = MaybeUninit::<[u32; 2]>::zeroed();
    let mut len = size_of::<[u32; 2]>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `stats`, which outlives the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            stats.as_mut_ptr().cast(),
            &raw mut len,
        )
    })?;
    // SAFETY: zeroed at birth, and any bytes the kernel wrote are a valid [u32; 2].
    let [_, drops] = unsafe { stats.assume_init() };
    Ok(drops)
}

/// Bytes written to a TCP socket that have not left it yet.
pub(crate) fn unsent_bytes(socket: BorrowedFd<'_>) -> io::Result<u32> {
    /// `linux/sockios.h`: the part of the send queue that was not sent.
    const SIOCOUTQNSD: libc::Ioctl = 0x894b;
    let mut count: libc::c_int = 0;
    // SAFETY: this request writes one int, to `count`, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCOUTQNSD, &raw mut count) })?;
    Ok(count.unsigned_abs())
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Makes a socket of any kind; the numbers are those of `socket(2)`.
pub(crate) fn socket(domain: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: a plain system call; the result is checked before use.
    let fd = check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: `fd` was just returned by the kernel and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a socket option to these bytes, none of which may be a pointer.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
) -> io::Result<()> {
    let len = value.len() as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    let set =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), len) };
    check(set).map(drop)
}

/// `connect(2)` with an address as the kernel takes it.
pub(crate) fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let len = address.len() as libc::socklen_t;
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), len) }).map(drop)
}

/// `bind(2)`, likewise.
pub(crate) fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let len = address.len() as libc::socklen_t;
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), len) }).map(drop)
}

/// `sendto(2)`; an empty address is none.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    flags: i32,
    to: &[u8],
) -> io::Result<usize> {
    let address = if to.is_empty() { std::ptr::null() } else { to.as_ptr() };
    // SAFETY: pointers and lengths describe `bytes` and `to`, which outlive the call; what a flag
    // makes the kernel keep for longer, it pins itself.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
            address.cast(),
            to.len() as libc::socklen_t,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A TUN interface of this name, which goes with the file.
pub(crate) fn tun(name: &str) -> io::Result<std::fs::File> {
    let file = std::fs::File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: ifreq is integers, arrays and pointers, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: this request reads and writes one ifreq, which outlives the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(file)
}

/// Sends through io_uring: to a connection made the same way, or as one datagram.
pub(crate) fn ring_send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    to: &[u8],
    connects: bool,
    polled: bool,
) -> io::Result<()> {
    let fd = io_uring::types::Fd(socket.as_raw_fd());
    let mut builder = io_uring::IoUring::builder();
    if polled {
        builder.setup_sqpoll(1000);
    }
    let mut ring: io_uring::IoUring = builder.build(4)?;
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is integers and pointers, for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_namelen = to.len() as libc::socklen_t;
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    let steps = if connects {
        let len = to.len() as libc::socklen_t;
        vec![
            io_uring::opcode::Connect::new(fd, to.as_ptr().cast(), len).build(),
            io_uring::opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32).build(),
        ]
    } else {
        vec![io_uring::opcode::SendMsg::new(fd, &raw const message).build()]
    };
    for step in steps {
        // SAFETY: what the step points to lives in this frame, which waits for its completion.
        unsafe { ring.submission().push(&step) }.map_err(io::Error::other)?;
        ring.submit_and_wait(1)?;
        let done = ring.completion().next();
        let done = done.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if done.result() < 0 {
            return Err(io::Error::from_raw_os_error(-done.result()));
        }
    }
    Ok(())
}

/// Ethernet frames a ring of [`xdp_send`] has room for.
const XDP_FRAMES: u32 = 4;
/// Bytes of one of them.
const XDP_FRAME: usize = 4096;

/// Sends one frame through an AF_XDP socket in copy mode, on the first queue of an interface.
pub(crate) fn xdp_send(interface: u32, frame: &[u8]) -> io::Result<()> {
    let socket = socket(libc::AF_XDP, libc::SOCK_RAW, 0)?;
    let fd = socket.as_fd();
    let memory = map(None, XDP_FRAME * XDP_FRAMES as usize, 0)?;
    // struct xdp_umem_reg as kernels have had it from the first: address, length, chunk, headroom.
    let mut region = Vec::new();
    region.extend_from_slice(&(memory.as_mut_ptr() as u64).to_ne_bytes());
    region.extend_from_slice(&(memory.len() as u64).to_ne_bytes());
    region.extend_from_slice(&(XDP_FRAME as u32).to_ne_bytes());
    region.extend_from_slice(&0u32.to_ne_bytes());
    set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &region)?;
    for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_TX_RING] {
        set_option(fd, libc::SOL_XDP, ring, &XDP_FRAMES.to_ne_bytes())?;
    }
    // struct xdp_mmap_offsets: producer, consumer, descriptors and flags of rx, tx, fill, completion.
    let mut offsets = [0u64; 16];
    let mut len = size_of_val(&offsets) as libc::socklen_t;
    // SAFETY: the pointers describe `offsets` and `len`, which outlive the call.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            offsets.as_mut_ptr().cast(),
            &raw mut len,
        )
    })?;
    let [_, _, _, _, producer, _, descriptors, ..] = offsets.map(|it| it as usize);
    let size = descriptors + XDP_FRAMES as usize * 16;
    let ring = map(Some(fd), size, libc::XDP_PGOFF_TX_RING)?;
    // struct sockaddr_xdp: family, flags, interface, queue, descriptor of shared memory.
    let mut address = (libc::AF_XDP as u16).to_ne_bytes().to_vec();
    address.extend_from_slice(&libc::XDP_COPY.to_ne_bytes());
    address.extend_from_slice(&interface.to_ne_bytes());
    address.extend_from_slice(&[0; 8]);
    bind(fd, &address)?;
    let room = memory.get_mut(..frame.len()).ok_or(io::ErrorKind::InvalidInput)?;
    room.copy_from_slice(frame);
    // struct xdp_desc: address 0 in the region, length, options.
    let described = ring.get_mut(descriptors + 8..descriptors + 12);
    described
        .ok_or(io::ErrorKind::InvalidData)?
        .copy_from_slice(&(frame.len() as u32).to_ne_bytes());
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    let produced = ring.get_mut(producer..producer + 4).ok_or(io::ErrorKind::InvalidData)?;
    produced.copy_from_slice(&1u32.to_ne_bytes());
    send(fd, &[], libc::MSG_DONTWAIT, &[]).map(drop)
}

/// Maps memory that the kernel shares, for good: a test's process is short.
fn map(file: Option<BorrowedFd<'_>>, len: usize, offset: i64) -> io::Result<&'static mut [u8]> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let (kind, fd) = match file {
        Some(file) => (libc::MAP_SHARED | libc::MAP_POPULATE, file.as_raw_fd()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    // SAFETY: a new mapping at an address of the kernel's choice, checked before use.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, access, kind, fd, offset) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has `len` bytes, nobody else in this process knows it, and it stays.
    Ok(unsafe { std::slice::from_raw_parts_mut(at.cast(), len) })
}

/// bpf(2) with these attributes, integers all; addresses among them must be of what lives on.
pub(crate) fn bpf<T: Copy, const N: usize>(call: i64, words: &mut [T; N]) -> io::Result<i32> {
    let size = size_of::<[T; N]>();
    // SAFETY: the attributes outlive the call and are as long as is said; see above for addresses.
    let done = unsafe { libc::syscall(libc::SYS_bpf, call, words.as_mut_ptr(), size) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as i32) }
}

/// The same of a command that makes a descriptor.
pub(crate) fn bpf_open<const N: usize>(call: i64, words: &mut [u32; N]) -> io::Result<OwnedFd> {
    let descriptor = bpf(call, words)?;
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
