//! The actions that tests start as processes of their own, with a cgroup and a command line.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Serialize;

use crate::honest::{self, HonestServer, Service};
use crate::pool::{Manner, Pool};
use crate::resolver::{Visits, visit};
use crate::score::remote;
use crate::transcript::Dialect;
use crate::{bypass, cgroup, crowd, miner};

/// Act as one party of sentinel's network laboratory. Nothing here mines.
#[derive(Debug, Parser)]
#[command(name = "sentinel-lab", version)]
pub struct Lab {
    /// Join this cgroup first.
    #[arg(long, global = true, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// Enter this network namespace first.
    #[arg(long, global = true, value_name = "PATH")]
    netns: Option<PathBuf>,
    /// Enter the network namespace open as this descriptor first.
    #[arg(long, global = true, value_name = "N", conflicts_with = "netns")]
    netns_fd: Option<u32>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Talk to a pool like a miner and report how it ended as JSON.
    Miner(miner::Options),
    /// Talk to an honest server and report how it went as JSON.
    Honest(honest::Options),
    /// Try one way past an allowlist and report what the kernel said as JSON.
    Bypass(bypass::Options),
    /// Try many ways past an allowlist and report what the kernel said to each as JSON.
    BypassSweep(bypass::Sweep),
    /// Make many short-lived sockets and report whose they were as JSON.
    Crowd(crowd::Options),
    /// Make one connection and end.
    Call(crowd::Call),
    /// Be a pool until stdin ends, then report what was received as JSON.
    Pool(PoolOptions),
    /// Play one session over TLS, a miner's or any other's, and report how it ended as JSON.
    Session(remote::Client),
    /// Be an honest server until stdin ends.
    Serve(ServeOptions),
    /// Go where names lead until stdin ends, then report how it went as JSON.
    Visit(Visits),
}

#[derive(Debug, Args)]
struct PoolOptions {
    /// Where to listen.
    #[arg(required = true)]
    listen: Vec<SocketAddr>,
    /// What to speak.
    #[arg(long, value_enum, default_value_t = Dialect::StratumV1)]
    dialect: Dialect,
    /// Never answer.
    #[arg(long)]
    silent: bool,
    /// Speak first, with this line.
    #[arg(long)]
    greeting: Option<String>,
    /// Milliseconds between new jobs; 0 for none.
    #[arg(long, default_value_t = 500)]
    job_ms: u64,
}

#[derive(Debug, Args)]
struct ServeOptions {
    /// What to serve.
    #[arg(value_enum)]
    service: Service,
    /// Where to listen.
    #[arg(required = true)]
    listen: Vec<SocketAddr>,
}

impl Lab {
    /// Takes the place asked for, acts, and prints the report as one line of JSON.
    pub fn act(self) -> Result<()> {
        if let Some(group) = &self.cgroup {
            cgroup::join(group)?;
        }
        let descriptor = self.netns_fd.map(|fd| PathBuf::from(format!("/proc/self/fd/{fd}")));
        if let Some(path) = self.netns.or(descriptor) {
            enter(&path)?;
        }
        // The short name that process lists and journals show.
        rustix::thread::set_name(self.action.comm())?;
        match self.action {
            Action::Miner(options) => print(&miner::run(&options)?),
            Action::Honest(options) => print(&honest::run(&options)),
            Action::Session(client) => print(&remote::run(&client)?),
            Action::Bypass(options) => print(&bypass::run(&options)?),
            Action::BypassSweep(sweep) => print(&bypass::sweep(&sweep)?),
            Action::Crowd(options) => print(&crowd::run(&options)?),
            Action::Call(call) => crowd::call(&call),
            Action::Pool(options) => {
                let pool = Pool::start(&options.listen, options.manner())?;
                until_stdin_ends()?;
                print(&pool.record())
            }
            Action::Visit(visits) => print(&visit(&visits)),
            Action::Serve(options) => {
                let _server = HonestServer::start(options.service, &options.listen)?;
                until_stdin_ends()
            }
        }
    }
}

impl Action {
    fn comm(&self) -> &'static CStr {
        match self {
            Action::Miner(_) => c"lab-miner",
            Action::Honest(_) => c"lab-honest",
            Action::Bypass(_) | Action::BypassSweep(_) => c"lab-bypass",
            Action::Crowd(_) => c"lab-crowd",
            Action::Call(_) => c"lab-call",
            Action::Pool(_) => c"lab-pool",
            Action::Session(_) => c"lab-session",
            Action::Serve(_) => c"lab-serve",
            Action::Visit(_) => c"lab-visit",
        }
    }
}

impl PoolOptions {
    fn manner(&self) -> Manner {
        Manner {
            dialect: self.dialect,
            silent: self.silent,
            greeting: self.greeting.as_ref().map(|line| format!("{line}\n")),
            job_every: (self.job_ms > 0).then(|| Duration::from_millis(self.job_ms)),
        }
    }
}

/// Moves this process, which has one thread so far, into a namespace.
fn enter(path: &Path) -> Result<()> {
    let file = File::open(path);
    let entered = file.and_then(|file| {
        Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
    });
    entered.with_context(|| format!("network namespace {} cannot be entered", path.display()))
}

fn until_stdin_ends() -> Result<()> {
    io::stdin().read_to_end(&mut Vec::new()).context("stdin cannot be read")?;
    Ok(())
}

fn print(report: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
