//! `vm`: Debian's kernels in QEMU, with our binaries in an initramfs.

pub(crate) mod archive;
mod guest;
mod initramfs;
mod kernels;
mod matrix;
pub(crate) mod mirror;
mod modules;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub(crate) use guest::{Outcome, Step};
pub(crate) use matrix::{Kernel, names, select};

use crate::build;
use crate::cli::{self, Rung};
use crate::ladder;
use crate::project;
use crate::setup;
use crate::term;

use kernels::{Cached, Fetcher};

/// Boots kernels and runs a command, a shell or the tests in them.
pub(crate) fn verb(args: &cli::Vm) -> Result<()> {
    if args.list {
        return list();
    }
    if args.command.is_empty() && !args.shell {
        return ladder::run(&ladder::Plan {
            rungs: vec![Rung::Vm],
            kernels: args.kernels.clone(),
            keep_going: true,
            timeout: Duration::from_secs(args.timeout),
            filter: None,
        });
    }
    let mut machines = Machines::new(!args.bare)?;
    let kernels = select(&args.kernels);
    if args.shell {
        return machines.shell(kernels.last().context("there is no such kernel: see --list")?);
    }
    let step = Step { label: "command".to_owned(), command: args.command.clone() };
    let mut failed = Vec::new();
    for kernel in kernels {
        let booted =
            machines.boot(kernel, std::slice::from_ref(&step), Duration::from_secs(args.timeout));
        match booted {
            Ok(Boot::Gone) => term::say(gone(kernel)),
            Ok(Boot::Ran { outcomes, seconds, release }) => {
                let code = outcomes.first().and_then(|outcome| outcome.code);
                if !term::live() {
                    outcomes
                        .iter()
                        .flat_map(|outcome| &outcome.lines)
                        .for_each(|line| println!("{line}"));
                }
                let code_text = code.map_or("none".to_owned(), |code| code.to_string());
                term::say(format!(
                    "{} ({release}): exit code {code_text}, {seconds:.1} s",
                    kernel.name
                ));
                if code != Some(0) {
                    failed.push(kernel.name);
                }
            }
            Err(error) => {
                term::error(&error);
                failed.push(kernel.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("the command failed on {}", failed.join(", ")) }
}

/// What is said of a kernel that cannot be had any more.
pub(crate) fn gone(kernel: &Kernel) -> String {
    format!("kernel {} is skipped: Debian's mirror no longer has it", kernel.name)
}

/// Fetches every kernel of the matrix that is not here yet.
pub(crate) fn fetch_all() -> Result<()> {
    let mut fetcher = Fetcher::default();
    for kernel in &matrix::MATRIX {
        if fetcher.get(kernel)?.is_none() {
            term::say(gone(kernel));
        }
    }
    Ok(())
}

fn list() -> Result<()> {
    for kernel in &matrix::MATRIX {
        let state = kernels::cached(kernel)?.map_or_else(
            || "not fetched yet".to_owned(),
            |cached| format!("{} in .cache/kernels/{}", cached.release, kernel.name),
        );
        println!("{:<6} {state}", kernel.name);
    }
    Ok(())
}

/// How a boot went.
#[derive(Debug)]
pub(crate) enum Boot {
    /// The mirror no longer has this kernel.
    Gone,
    /// It booted, ran the steps and powered off.
    Ran {
        /// One for each step.
        outcomes: Vec<Outcome>,
        /// From power-on to power-off.
        seconds: f64,
        /// The kernel's full name.
        release: String,
    },
}

/// Everything that boots of one invocation share: the packed binaries, the mirror's lists.
pub(crate) struct Machines {
    base: PathBuf,
    fetcher: Fetcher,
}

impl Machines {
    /// Sets up the tools, and builds and packs our binaries unless the guests shall be bare.
    pub(crate) fn new(with_binaries: bool) -> Result<Self> {
        setup::guest_tools()?;
        let binaries = if with_binaries {
            let toolchain = setup::for_run()?;
            term::say("building static binaries for the guests (the first time about 2 min)");
            build::for_guest(toolchain)?
        } else {
            Vec::new()
        };
        Ok(Self { base: initramfs::base(&binaries)?, fetcher: Fetcher::default() })
    }

    /// Boots a kernel and runs the steps in it.
    pub(crate) fn boot(
        &mut self,
        kernel: &Kernel,
        steps: &[Step],
        timeout: Duration,
    ) -> Result<Boot> {
        self.prepare(kernel, steps)?.map_or(Ok(Boot::Gone), |guest| guest.run(timeout))
    }

    /// Puts together what a kernel boots with; none where nobody has that kernel any more.
    pub(crate) fn prepare(&mut self, kernel: &Kernel, steps: &[Step]) -> Result<Option<Guest>> {
        let Some(cached) = self.fetcher.get(kernel)? else { return Ok(None) };
        let archive = initramfs::complete(&self.base, kernel.name, &cached, steps)?;
        let log = project::log(&format!("vm-{}", kernel.name))?;
        Ok(Some(Guest { name: kernel.name, cached, archive, log }))
    }

    fn shell(&mut self, kernel: &Kernel) -> Result<()> {
        let Some(cached) = self.fetcher.get(kernel)? else { bail!("{}", gone(kernel)) };
        let step = Step::new("shell", &["setsid", "cttyhack", "sh"]);
        let archive = initramfs::complete(&self.base, kernel.name, &cached, &[step])?;
        term::say("`exit` powers the guest off; Ctrl-A then X ends QEMU at once");
        guest::shell(&cached, &archive)
    }
}

/// What boots; guests know nothing of each other, and several may run at a time.
pub(crate) struct Guest {
    name: &'static str,
    cached: Cached,
    archive: PathBuf,
    log: PathBuf,
}

impl Guest {
    /// Boots it, and waits for its end.
    pub(crate) fn run(self, timeout: Duration) -> Result<Boot> {
        let Self { name, cached, archive, log } = self;
        let start = Instant::now();
        let outcomes = guest::boot(name, &cached, &archive, timeout, &log);
        guest::clean(&archive);
        let seconds = start.elapsed().as_secs_f64();
        Ok(Boot::Ran { outcomes: outcomes?, seconds, release: cached.release })
    }
}
