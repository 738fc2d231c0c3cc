//! Short-lived sockets whose owners are known: of processes that fork, that move between cgroups, that
//! hand their sockets over, and of some that live a millisecond. Whoever makes one says whose it is.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::net::sockopt::socket_cookie;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{Pid, Signal, WaitOptions, set_parent_process_death_signal, waitpid};
use serde::{Deserialize, Serialize};

use crate::{cgroup, sys};

/// Connections to one port: more look alike to the agent.
const ALIKE: u32 = 4;

/// Who makes how many.
#[derive(Debug, Args)]
pub struct Options {
    /// Where to connect to, from this port upwards.
    target: SocketAddr,
    /// How many sockets.
    #[arg(long)]
    count: u32,
    /// Another cgroup to move to.
    #[arg(long, value_name = "PATH")]
    other: PathBuf,
    /// Start a program for each, which does nothing else.
    #[arg(long)]
    brief: bool,
}

/// One connection and no more.
#[derive(Debug, Args)]
pub struct Call {
    /// Where to.
    target: SocketAddr,
    /// Something to be known by.
    tag: String,
}

/// A socket, and the truth of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// 0 when only its maker knew.
    pub cookie: u64,
    /// Who connected it.
    pub pid: u32,
    /// To which port.
    pub port: u16,
    /// Another had made it.
    pub passed: bool,
    /// Who connected it was in the other cgroup.
    pub elsewhere: bool,
    /// What a program of its own was told to be known by.
    pub tag: Option<String>,
}

/// Makes one connection.
pub fn call(call: &Call) -> Result<()> {
    connect(&socket()?, call.target);
    Ok(())
}

/// Makes them all, one after the other.
pub fn run(options: &Options) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    let receiver = if options.brief { None } else { Some(Receiver::start(&options.other)?) };
    for number in 0..options.count {
        let mut target = options.target;
        target.set_port(target.port() + u16::try_from(number / ALIKE)?);
        made.push(match (&receiver, number % 5) {
            (None, _) => by_a_program(number, target)?,
            (Some(_), 0) => alone(target)?,
            (Some(_), 1) => forked(target, None)?,
            (Some(_), 2) => inherited(target)?,
            (Some(_), 3) => forked(target, Some(&options.other))?,
            (Some(receiver), _) => receiver.connects(target)?,
        });
    }
    Ok(made)
}

fn socket() -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)
}

/// Refused or under way: the agent's journal says which.
fn connect(socket: &OwnedFd, target: SocketAddr) {
    let _ = rustix::net::connect(socket, &target);
}

fn own() -> u32 {
    std::process::id()
}

fn alone(target: SocketAddr) -> Result<Made> {
    let socket = socket()?;
    connect(&socket, target);
    let cookie = socket_cookie(&socket)?;
    let (pid, port) = (own(), target.port());
    Ok(Made { cookie, pid, port, passed: false, elsewhere: false, tag: None })
}

/// A copy of this process makes it, and perhaps moves before it connects.
fn forked(target: SocketAddr, other: Option<&PathBuf>) -> Result<Made> {
    let (read, write) = rustix::pipe::pipe()?;
    let child = sys::forked(|| {
        let Ok(socket) = socket() else { return };
        if other.is_some_and(|other| cgroup::join(other).is_err()) {
            return;
        }
        connect(&socket, target);
        if let Ok(cookie) = socket_cookie(&socket) {
            let _ = rustix::io::write(&write, &cookie.to_ne_bytes());
        }
    })?;
    drop(write);
    let mut cookie = [0; 8];
    rustix::io::read(&read, &mut cookie)?;
    ended(child)?;
    let (cookie, pid) = (u64::from_ne_bytes(cookie), number(child));
    let elsewhere = other.is_some();
    Ok(Made { cookie, pid, port: target.port(), passed: false, elsewhere, tag: None })
}

/// This process makes it, and a copy of it connects.
fn inherited(target: SocketAddr) -> Result<Made> {
    let socket = socket()?;
    let child = sys::forked(|| connect(&socket, target))?;
    ended(child)?;
    let (cookie, pid) = (socket_cookie(&socket)?, number(child));
    Ok(Made { cookie, pid, port: target.port(), passed: true, elsewhere: false, tag: None })
}

fn by_a_program(number: u32, target: SocketAddr) -> Result<Made> {
    let tag = format!("brief-{number}");
    let mut child = Command::new(std::env::current_exe()?);
    let mut child = child.args(["call", &target.to_string(), &tag]).spawn()?;
    let pid = child.id();
    anyhow::ensure!(child.wait()?.success(), "{tag} did not end well");
    let tag = Some(tag);
    Ok(Made { cookie: 0, pid, port: target.port(), passed: false, elsewhere: false, tag })
}

fn number(child: Pid) -> u32 {
    child.as_raw_nonzero().get().unsigned_abs()
}

fn ended(child: Pid) -> Result<()> {
    let (_, status) = waitpid(Some(child), WaitOptions::empty())?.context("no such child")?;
    anyhow::ensure!(status.exit_status() == Some(0), "a copy ended with {status:?}");
    Ok(())
}

/// A process in the other cgroup that connects what it is handed.
struct Receiver {
    line: OwnedFd,
    pid: u32,
}

impl Receiver {
    fn start(other: &Path) -> Result<Self> {
        let flags = SocketFlags::empty();
        let (line, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let child = sys::forked(|| {
            // It has its parent's end of the line as well, and would wait for ever.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            if cgroup::join(other).is_ok() {
                while let Ok(Some((socket, target))) = received(&theirs) {
                    connect(&socket, target);
                    let _ = rustix::io::write(&theirs, b".");
                }
            }
        })?;
        Ok(Self { line, pid: number(child) })
    }

    fn connects(&self, target: SocketAddr) -> Result<Made> {
        let socket = socket()?;
        let text = target.to_string();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sockets = [socket.as_fd()];
        anyhow::ensure!(control.push(SendAncillaryMessage::ScmRights(&sockets)), "no room");
        let text = [IoSlice::new(text.as_bytes())];
        rustix::net::sendmsg(&self.line, &text, &mut control, SendFlags::empty())?;
        rustix::io::read(&self.line, &mut [0; 1])?;
        let (cookie, pid) = (socket_cookie(&socket)?, self.pid);
        Ok(Made { cookie, pid, port: target.port(), passed: true, elsewhere: true, tag: None })
    }
}

/// A socket and where to connect it to; `None` when the other side has closed.
fn received(line: &OwnedFd) -> Result<Option<(OwnedFd, SocketAddr)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 64];
    let into = &mut [IoSliceMut::new(&mut text)];
    let message = rustix::net::recvmsg(line, into, &mut control, RecvFlags::empty())?;
    let socket = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    let Some(socket) = socket else { return Ok(None) };
    let text = text.get(..message.bytes).context("a message longer than its room")?;
    Ok(Some((socket, std::str::from_utf8(text)?.parse()?)))
}
