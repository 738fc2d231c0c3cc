//! Threads that accept connections until they are told to stop.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::sync::lock;

/// How often a waiting thread looks whether it should stop.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Set once, seen by every thread of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Threads = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// A server on one or more addresses, in the namespace of the thread that starts it.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<SocketAddr>,
    stop: Stop,
    threads: Threads,
}

impl Server {
    /// Listens on every address before it returns; each connection gets a thread of its own.
    pub(crate) fn start<F>(listen: &[SocketAddr], serve: F) -> Result<Server>
    where
        F: Fn(TcpStream, &Stop) + Send + Sync + 'static,
    {
        let mut server =
            Server { addresses: Vec::new(), stop: Stop::default(), threads: Threads::default() };
        let serve = Arc::new(serve);
        for address in listen {
            let listener = TcpListener::bind(address)
                .with_context(|| format!("nothing can listen on {address}"))?;
            listener.set_nonblocking(true)?;
            server.addresses.push(listener.local_addr()?);
            let (stop, threads) = (server.stop.clone(), Arc::clone(&server.threads));
            let serve = Arc::clone(&serve);
            let thread = thread::Builder::new().name(format!("accept {address}"));
            let handle = thread.spawn(move || accept(&listener, &stop, &threads, &serve))?;
            lock(&server.threads).push(handle);
        }
        Ok(server)
    }

    /// The addresses, with the ports the kernel chose.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.request();
        // Acceptors may add connections while this runs; they are first in the list.
        loop {
            let Some(thread) = lock(&self.threads).pop() else { break };
            let _ = thread.join();
        }
    }
}

fn accept<F>(listener: &TcpListener, stop: &Stop, threads: &Threads, serve: &Arc<F>)
where
    F: Fn(TcpStream, &Stop) + Send + Sync + 'static,
{
    while !stop.requested() {
        match listener.accept() {
            Ok((stream, _)) => {
                let (stop, serve) = (stop.clone(), Arc::clone(serve));
                let handle = thread::spawn(move || {
                    if prepare(&stream).is_ok() {
                        serve(stream, &stop);
                    }
                });
                lock(threads).push(handle);
            }
            Err(_) => wait_readable(listener),
        }
    }
}

/// Makes reads wake up every tick.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))
}

fn wait_readable(listener: &TcpListener) {
    let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    // A failed poll is only a shorter wait.
    let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&tick));
}

/// True for the errors by which a read timeout shows.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
