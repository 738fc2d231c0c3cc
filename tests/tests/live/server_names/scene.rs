//! An agent whose policy demands the names in the handshakes too, a resolver, and one server for every
//! address of the crowd that keeps what it is told.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::agent::Agent;
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::netlab::{Lab, PEER_HOSTS, Subnet};
use sentinel_tests::resolver::{Client, Resolver, addresses, member};
use tempfile::TempDir;

use crate::learn::as_workload;

pub const PORT: u16 = 7443;
/// A name that may be named, one of the same address that may not, and one that needs no naming.
pub const GOOD: &str = "n500.lab.example";
pub const OTHER: &str = "n500.other.example";
pub const FREE: &str = "n501.free.example";
pub const GOOD_PLACE: u16 = 500;
pub const FREE_PLACE: u16 = 501;

pub struct Scene {
    pub agent: Agent,
    pub server: Server,
    _resolver: Resolver,
    at: IpAddr,
    pub lab: Lab,
    pub workload: TestCgroup,
    _cgroup: TestCgroup,
    _settings: TempDir,
}

impl Scene {
    pub fn set(name: &str, number: u8, mode: &str) -> Result<Self> {
        let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
        lab.add_crowd(member(0))?;
        let cgroup = TestCgroup::unique(name)?;
        let workload = cgroup.child("workload")?;
        let [host, ..] = PEER_HOSTS;
        let at: IpAddr = lab.subnet().v4(host).into();
        let settings = tempfile::tempdir()?;
        let policy = format!(
            "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: shop}}\nspec:\n  \
             mode: {mode}\n  egress:\n    - toCIDRs: [\"{}\"]\n    \
             - toFQDNs: [\"*.lab.example\"]\n      requireServerName: true\n      ports: [{{port: {PORT}}}]\n    \
             - toFQDNs: [\"*.free.example\"]\n      ports: [{{port: {PORT}}}]\n",
            lab.subnet().cidr4(),
        );
        fs::write(settings.path().join("policy.yaml"), policy)?;
        let config = format!(
            "mode: enforce\npolicies: [policy.yaml]\nresolvers: [\"{at}\"]\ndiscoverResolvers: false\n"
        );
        let file = settings.path().join("config.yaml");
        fs::write(&file, config)?;
        let file = file.to_str().context("a path is not UTF-8")?.to_owned();
        let agent = Agent::start(&cgroup, &["--config", &file])?;
        let resolver = lab.in_peer(|| Resolver::start(at))?;
        let server = Server::start(&lab)?;
        let scene = Self {
            agent,
            server,
            _resolver: resolver,
            at,
            lab,
            workload,
            _cgroup: cgroup,
            _settings: settings,
        };
        for (name, place) in [(GOOD, GOOD_PLACE), (FREE, FREE_PLACE)] {
            scene.look_up(name, place)?;
        }
        Ok(scene)
    }

    fn look_up(&self, name: &str, place: u16) -> Result<()> {
        let found =
            self.act(|| Ok(addresses(&Client::new(self.at, true)?.ask(&format!("{name}."))?)))?;
        ensure!(found == [IpAddr::from(member(place))], "{found:?}");
        Ok(())
    }

    pub fn act<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        as_workload(&self.workload, &self.lab, act)
    }

    /// A connection to a member of the crowd.
    pub fn connect(place: u16) -> Result<TcpStream> {
        let to = SocketAddr::new(member(place).into(), PORT);
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(stream)
    }

    /// Says something in pieces, and waits for the echo of all of it: whether it came.
    pub fn echoed(mut stream: TcpStream, pieces: &[&[u8]]) -> bool {
        let said = pieces.concat();
        for piece in pieces {
            // Cut off or dropped: the echo tells.
            let _ = stream.write_all(piece);
        }
        let mut back = vec![0; said.len()];
        stream.read_exact(&mut back).is_ok() && back == said
    }
}

/// What came, each piece with the port that it came from.
type Heard = Mutex<Vec<(u16, Vec<u8>)>>;

/// Sends back what it is told, and keeps it by the port that it came from.
pub struct Server {
    heard: Arc<Heard>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(lab: &Lab) -> Result<Self> {
        let listener = lab.in_peer(|| Ok(TcpListener::bind(("0.0.0.0", PORT))?))?;
        listener.set_nonblocking(true)?;
        let (heard, stop) = (Arc::<Heard>::default(), Arc::<AtomicBool>::default());
        let (all, until) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((stream, from)) => {
                        let all = Arc::clone(&all);
                        thread::spawn(move || echo(stream, from.port(), &all));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Ok(Self { heard, stop, thread: Some(thread) })
    }

    /// What came from this port.
    pub fn heard_from(&self, port: u16) -> Vec<u8> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|(from, _)| *from == port).flat_map(|(_, said)| said.clone()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A server that panicked has failed its test already.
            let _ = thread.join();
        }
    }
}

fn echo(mut stream: TcpStream, from: u16, all: &Heard) {
    let until = Instant::now() + Duration::from_secs(20);
    let mut room = [0; 4096];
    if stream.set_nonblocking(false).is_err() {
        return;
    }
    while Instant::now() < until {
        let Ok(len @ 1..) = stream.read(&mut room) else { return };
        let said = room.get(..len).unwrap_or_default();
        all.lock().unwrap_or_else(PoisonError::into_inner).push((from, said.to_vec()));
        if stream.write_all(said).is_err() {
            return;
        }
    }
}
