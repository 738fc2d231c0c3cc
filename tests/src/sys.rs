//! Every `unsafe` block of the laboratory: what neither std nor rustix offers as a safe call.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// Where a child stands before its program starts.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// An open `cgroup.procs` the child writes itself into.
    pub(crate) cgroup_procs: Option<OwnedFd>,
    /// The network namespace the child enters.
    pub(crate) netns: Option<OwnedFd>,
    /// The signal the child gets when the thread that started it ends.
    pub(crate) dies_with_parent: Option<Signal>,
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
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(netns), network)?;
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
