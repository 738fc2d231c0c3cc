//! A packet capture on the peer's end of the veth, independent of what any program claims.

mod packet;
mod pcap;
mod stream;

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::netlab::{Lab, PEER_INTERFACE, interface_index};
use crate::sync::lock;
use crate::sys;

pub use packet::{Packet, Segment};
pub use stream::Stream;

/// Receive buffer of the packet socket.
const BUFFER_BYTES: usize = 16 << 20;
/// Longest frame: a GSO packet of 64 KiB with its Ethernet header.
const FRAME_BYTES: usize = 65_536 + 64;
/// A capture ends once no frame came for this long...
const QUIET: Duration = Duration::from_millis(40);
/// ...or after this long in any case.
const QUIET_WITHIN: Duration = Duration::from_secs(2);

/// One captured frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Kernel time since the Unix epoch.
    pub time: Duration,
    /// True if the peer sent it, false if it reached the peer.
    pub outgoing: bool,
    /// The frame from its Ethernet header on.
    pub bytes: Vec<u8>,
}

/// What was captured.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    /// Every frame in order.
    pub frames: Vec<Frame>,
    /// Frames lost because the buffer was full: evidence with losses proves no absence.
    pub dropped: u32,
}

/// A running capture; it listens from the moment [`Sniffer::start`] returns.
#[derive(Debug)]
pub struct Sniffer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    stop: AtomicBool,
    capture: Mutex<Capture>,
}

impl Sniffer {
    /// Starts capturing on the peer's end of the laboratory's veth pair.
    pub fn start(lab: &Lab) -> Result<Sniffer> {
        let socket = lab.in_peer(|| {
            let socket = sys::packet_socket(interface_index(PEER_INTERFACE)?)?;
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
            Ok(socket)
        });
        let socket = socket.context("no packet socket on the peer's side")?;
        let shared = Shared { socket, stop: AtomicBool::new(false), capture: Mutex::default() };
        let shared = Arc::new(shared);
        let listener = Arc::clone(&shared);
        let thread = thread::Builder::new().name("sniffer".into());
        let thread = thread.spawn(move || listener.listen())?;
        Ok(Sniffer { shared, thread: Some(thread) })
    }

    /// A copy of what was captured so far.
    pub fn capture(&self) -> Capture {
        lock(&self.shared.capture).clone()
    }

    /// Waits until the wire is quiet, stops and hands over everything.
    pub fn finish(mut self) -> Result<Capture> {
        let deadline = Instant::now() + QUIET_WITHIN;
        let mut seen = usize::MAX;
        while Instant::now() < deadline {
            let now = lock(&self.shared.capture).frames.len();
            if now == seen {
                break;
            }
            seen = now;
            thread::sleep(QUIET);
        }
        self.halt();
        let mut capture = std::mem::take(&mut *lock(&self.shared.capture));
        capture.dropped = sys::packet_drops(self.shared.socket.as_fd())?;
        Ok(capture)
    }

    fn halt(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The listener does not panic; there is nothing to learn from its end.
            let _ = thread.join();
        }
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Shared {
    fn listen(&self) {
        let mut buffer = vec![0; FRAME_BYTES];
        let tick = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            self.drain(&mut buffer);
            if stopping {
                return;
            }
            let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
            // A failed poll is only a shorter wait.
            let _ = poll(&mut waiting, Some(&tick));
        }
    }

    fn drain(&self, buffer: &mut [u8]) {
        while let Ok(Some(received)) = sys::receive_frame(self.socket.as_fd(), buffer) {
            let bytes = buffer.get(..received.len).unwrap_or_default().to_vec();
            let frame = Frame { time: received.time, outgoing: received.outgoing, bytes };
            lock(&self.capture).frames.push(frame);
        }
    }
}

impl Capture {
    /// Frames whose IP destination is this address, in either direction.
    pub fn frames_to(&self, address: IpAddr) -> usize {
        self.packets().filter(|(_, packet)| packet.dst == address).count()
    }

    /// The IP packets among the frames.
    pub fn packets(&self) -> impl Iterator<Item = (&Frame, Packet<'_>)> {
        self.frames.iter().filter_map(|frame| Some((frame, Packet::parse(&frame.bytes)?)))
    }

    /// TCP payload that passed the wire from one port to another, put together from sequence
    /// numbers; one stream per connection, in order of appearance.
    pub fn streams(&self, src_port: u16, dst_port: u16) -> Vec<Stream> {
        stream::collect(self, |segment| {
            segment.src_port == src_port && segment.dst_port == dst_port
        })
    }

    /// TCP payload of every connection towards a port.
    pub fn streams_to(&self, dst_port: u16) -> Vec<Stream> {
        stream::collect(self, |segment| segment.dst_port == dst_port)
    }

    /// All payload bytes from one port to another, connections joined.
    pub fn payload(&self, src_port: u16, dst_port: u16) -> Vec<u8> {
        self.streams(src_port, dst_port).into_iter().flat_map(|stream| stream.bytes).collect()
    }

    /// Writes the capture as a pcap file (nanosecond timestamps).
    pub fn write_pcap(&self, path: &Path) -> Result<()> {
        pcap::write(&self.frames, path)
            .with_context(|| format!("the capture cannot be written to {}", path.display()))
    }
}
