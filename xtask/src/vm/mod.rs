//! `vm`: Debian's kernels in QEMU, with our binaries in an initramfs.

pub(crate) mod archive;
mod disk;
mod guest;
mod initramfs;
mod kernels;
mod matrix;
pub(crate) mod mirror;
mod modules;
mod processor;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub(crate) use guest::{Layout, Outcome, Step};
pub(crate) use matrix::{Kernel, names, select};

use guest::Machine;
use processor::Processor;

use crate::build;
use crate::cli::{self, Rung};
use crate::deploy;
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
            layout: args.layout,
            keep_going: true,
            timeout: Duration::from_secs(args.timeout),
            filter: None,
        });
    }
    let mut machines = Machines::new(!args.bare)?;
    let kernels = select(&args.kernels);
    let layout = args.layout.unwrap_or_default();
    if args.shell {
        let kernel = kernels.last().context("there is no such kernel: see --list")?;
        return machines.shell(kernel, layout);
    }
    let step = Step { label: "command".to_owned(), command: args.command.clone() };
    let mut failed = Vec::new();
    for kernel in kernels {
        let timeout = Duration::from_secs(args.timeout);
        let booted = machines.boot(kernel, layout, std::slice::from_ref(&step), timeout);
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

/// Makes the disk of the guests that systemd runs, unless it is there.
pub(crate) fn make_disk() -> Result<()> {
    disk::image().map(drop)
}

fn list() -> Result<()> {
    for kernel in matrix::all() {
        let state = kernels::cached(kernel)?.map_or_else(
            || "not fetched yet".to_owned(),
            |cached| format!("{} in .cache/kernels/{}", cached.release, kernel.name),
        );
        println!("{:<12} {state}", kernel.name);
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
    with_binaries: bool,
    bases: Vec<Base>,
    fetcher: Fetcher,
    /// What guests boot from is written to the same files by whoever boots some in this tree.
    _alone: File,
}

/// What guests with one kind of processor have in common.
struct Base {
    processor: Processor,
    archive: PathBuf,
    /// The agent's executable, unless the guests are bare.
    agent: Option<PathBuf>,
}

impl Machines {
    /// Sets up the tools; our binaries are built and packed for the first guest, unless guests shall be bare.
    pub(crate) fn new(with_binaries: bool) -> Result<Self> {
        setup::guest_tools()?;
        let (bases, fetcher) = (Vec::new(), Fetcher::default());
        Ok(Self { with_binaries, bases, fetcher, _alone: alone()? })
    }

    fn base(&mut self, processor: Processor) -> Result<&Base> {
        let known = |base: &Base| base.processor == processor;
        if let Some(place) = self.bases.iter().position(known) {
            return self.bases.get(place).context("no base");
        }
        if processor == Processor::Aarch64 {
            setup::aarch64_guest_tools()?;
        }
        let binaries = match (self.with_binaries, processor) {
            (false, _) => build::Executables::default(),
            (true, Processor::X86_64) => {
                term::say("building static binaries for the guests (the first time about 2 min)");
                build::standalone(setup::for_run()?)?
            }
            (true, Processor::Aarch64) => {
                term::say("building static binaries for aarch64 (the first time about 5 min)");
                let toolchain = setup::for_run()?;
                build::for_aarch64(toolchain, setup::aarch64(toolchain)?.as_deref())?
            }
        };
        let agent = binaries.path("sentinel").ok().map(Path::to_path_buf);
        let archive = initramfs::base(processor, &binaries.0)?;
        self.bases.push(Base { processor, archive, agent });
        self.bases.last().context("no base")
    }

    /// Boots a kernel and runs the steps in it.
    pub(crate) fn boot(
        &mut self,
        kernel: &Kernel,
        layout: Layout,
        steps: &[Step],
        timeout: Duration,
    ) -> Result<Boot> {
        self.prepare(kernel, layout, steps)?.map_or(Ok(Boot::Gone), |guest| guest.run(timeout))
    }

    /// Puts together what a kernel boots with; none where nobody has that kernel any more.
    pub(crate) fn prepare(
        &mut self,
        kernel: &Kernel,
        layout: Layout,
        steps: &[Step],
    ) -> Result<Option<Guest>> {
        let Some(cached) = self.fetcher.get(kernel)? else { return Ok(None) };
        let Base { archive, agent, .. } = self.base(kernel.processor)?;
        let name = format!("{}{}", kernel.name, layout.suffix());
        let (disk, package) = match layout {
            Layout::Systemd => {
                let package = agent.as_deref().map(deploy::package).transpose()?;
                (Some(disk::image()?), package)
            }
            _ => (None, None),
        };
        let files: Vec<&Path> = package.as_deref().into_iter().collect();
        let archive = initramfs::complete(archive, (&name, kernel), &cached, steps, &files)?;
        let log = project::log(&format!("vm-{name}"))?;
        Ok(Some(Guest { name, layout, cached, archive, disk, log }))
    }

    fn shell(&mut self, kernel: &Kernel, layout: Layout) -> Result<()> {
        let step = match layout {
            Layout::Systemd => Step::new("shell", &["sh", "-i"]),
            _ => Step::new("shell", &["setsid", "cttyhack", "sh"]),
        };
        let guest = self.prepare(kernel, layout, &[step])?;
        let Some(guest) = guest else { bail!("{}", gone(kernel)) };
        term::say("`exit` powers the guest off; Ctrl-A then X ends QEMU at once");
        guest::shell(&guest.machine())
    }
}

/// Waits until nobody else boots guests in this tree.
fn alone() -> Result<File> {
    let path = project::scratch("")?.join("guests.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            term::say("another xtask boots guests in this tree: waiting for its end");
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.lock()?;
    Ok(file)
}

/// What boots; guests know nothing of each other, and several may run at a time.
pub(crate) struct Guest {
    name: String,
    layout: Layout,
    cached: Cached,
    archive: PathBuf,
    disk: Option<PathBuf>,
    log: PathBuf,
}

impl Guest {
    /// Boots it, and waits for its end.
    pub(crate) fn run(self, timeout: Duration) -> Result<Boot> {
        let start = Instant::now();
        let outcomes = guest::boot(&self.name, &self.machine(), timeout, &self.log);
        guest::clean(&self.archive);
        let seconds = start.elapsed().as_secs_f64();
        Ok(Boot::Ran { outcomes: outcomes?, seconds, release: self.cached.release })
    }

    fn machine(&self) -> Machine<'_> {
        Machine {
            kernel: &self.cached,
            layout: self.layout,
            archive: &self.archive,
            disk: self.disk.as_deref(),
        }
    }
}
