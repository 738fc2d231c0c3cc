//! A DNS server whose answers are known from the question's first label: see [`answer`]. Datagrams and
//! streams, on port 53.

mod answers;
mod client;
mod service;

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hickory_proto::op::Message;

pub use answers::{MANY, Place, answer, member};
pub use client::{Client, addresses};
pub use service::{Visited, Visits, visit};

/// How long a thread of the server waits before it looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Resolver {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Resolver {
    /// Serves at this address, in the calling thread's network namespace.
    pub fn start(at: IpAddr) -> Result<Resolver> {
        let at = SocketAddr::new(at, 53);
        let udp = UdpSocket::bind(at).with_context(|| format!("no server at {at}"))?;
        let tcp = TcpListener::bind(at).with_context(|| format!("no server at {at}"))?;
        udp.set_read_timeout(Some(LOOK))?;
        tcp.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (for_udp, for_tcp) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            thread::spawn(move || serve_datagrams(&udp, &for_udp)),
            thread::spawn(move || serve_streams(&tcp, &for_tcp)),
        ];
        Ok(Resolver { stop, threads })
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A server that panicked has failed its test already.
            let _ = thread.join();
        }
    }
}

fn serve_datagrams(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Acquire) {
        let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
        let question = buffer.get(..len).and_then(|bytes| Message::from_vec(bytes).ok());
        for answer in question.iter().flat_map(|question| answer(question, false)) {
            // A client that is gone asks for nothing.
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_streams(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => {
                // A client that ends in the middle asks for nothing.
                let _ = serve_stream(stream);
            }
            Err(_) => thread::sleep(LOOK / 10),
        }
    }
}

/// Answers come in segments of 1, 2, 3 and so on bytes, so that every field is cut somewhere.
fn serve_stream(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    loop {
        let question = read_message(&mut stream)?;
        for answer in answer(&question, true) {
            let mut bytes = u16::try_from(answer.len()).unwrap_or(0).to_be_bytes().to_vec();
            bytes.extend(answer);
            let mut rest = bytes.as_slice();
            let mut cut = 1;
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(cut));
                stream.write_all(piece)?;
                rest = later;
                cut += 1;
            }
        }
    }
}

/// A message behind its length (RFC 1035 section 4.2.2).
fn read_message(stream: &mut TcpStream) -> io::Result<Message> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut bytes)?;
    Message::from_vec(&bytes).map_err(io::Error::other)
}
