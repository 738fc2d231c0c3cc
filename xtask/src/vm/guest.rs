//! One boot: QEMU started, watched and ended, and what the guest's marked lines say.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::kernels::Cached;
use crate::process::{self, Ending};
use crate::term;

/// How a guest's cgroups are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// cgroup2 alone
    #[default]
    Pure,
    /// Hierarchies of v1, and cgroup2 beside them
    Hybrid,
    /// Hierarchies of v1 alone
    V1,
    /// cgroup2 alone, by a real systemd, with the Debian package at hand
    Systemd,
}

impl Layout {
    /// All of them, what hosts have most first.
    pub(crate) const ALL: [Self; 4] = [Self::Pure, Self::Hybrid, Self::V1, Self::Systemd];

    /// What the name of a guest ends with.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Pure => "",
            Self::Hybrid => "-hybrid",
            Self::V1 => "-v1",
            Self::Systemd => "-systemd",
        }
    }

    /// What a guest's first process is told, by the kernel's command line.
    const fn word(self) -> &'static str {
        match self {
            Self::Pure => "",
            Self::Hybrid => " SENTINEL_LAYOUT=hybrid",
            Self::V1 => " SENTINEL_LAYOUT=v1",
            Self::Systemd => {
                " SENTINEL_LAYOUT=systemd systemd.show_status=no systemd.getty_auto=no"
            }
        }
    }
}

/// One thing to run in a guest.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What it is called in the report.
    pub(crate) label: String,
    /// The command and its arguments.
    pub(crate) command: Vec<String>,
}

impl Step {
    /// A step from plain words.
    pub(crate) fn new(label: &str, command: &[&str]) -> Self {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Self { label: label.to_owned(), command }
    }

    /// The step as lines of the guest's shell.
    pub(super) fn script(&self) -> String {
        let words: Vec<String> = self.command.iter().map(|word| quote(word)).collect();
        let label = &self.label;
        format!("echo '@@begin {label}'\n( run {} )\necho \"@@rc {label} $?\"\n", words.join(" "))
    }
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What one step did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The step's label.
    pub(crate) label: String,
    /// What it printed.
    pub(crate) lines: Vec<String>,
    /// Its exit code; none when the guest ended before.
    pub(crate) code: Option<i32>,
}

/// What is known after, and while, a guest runs.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    booted: bool,
    finished: bool,
    outcomes: Vec<Outcome>,
}

impl Transcript {
    /// Takes a line of the console; says whether a reader wants to see it.
    fn take(&mut self, line: &str) -> bool {
        if self.finished {
            return false;
        }
        if line.contains("@@boot ") {
            // The firmware may have left something on the same line: nothing to show.
            self.booted = true;
            return false;
        }
        if line.starts_with("@@done") {
            self.finished = true;
        } else if let Some(label) = line.strip_prefix("@@begin ") {
            self.outcomes.push(Outcome { label: label.to_owned(), ..Outcome::default() });
        } else if let Some((before, result)) = line.split_once("@@rc ") {
            // A step that did not end its last line has it before the mark.
            let code = result.rsplit(' ').next().and_then(|code| code.parse().ok());
            if let Some(outcome) = self.outcomes.last_mut() {
                outcome.code = code;
                outcome.lines.extend((!before.is_empty()).then(|| before.to_owned()));
            }
        } else if let Some(outcome) = self.outcomes.last_mut() {
            outcome.lines.push(line.to_owned());
        }
        self.booted && (!line.starts_with("@@") || line.starts_with("@@note"))
    }
}

/// Boots the kernel with the archive and waits for its end.
pub(super) fn boot(
    name: &str,
    machine: &Machine<'_>,
    timeout: Duration,
    log: &Path,
) -> Result<Vec<Outcome>> {
    let mut command = machine.qemu();
    command.stdin(Stdio::null());
    let mut transcript = Transcript::default();
    let ending = process::watch(command, log, Some(timeout), |line| {
        if transcript.take(line) && term::live() {
            println!("  {name} | {line}");
        }
    })?;
    if transcript.finished {
        return Ok(transcript.outcomes);
    }
    let what = match ending {
        Ending::TimedOut => format!("did not finish in {} s (--timeout)", timeout.as_secs()),
        Ending::Exited(_) if transcript.booted => "ended before its steps did".to_owned(),
        Ending::Exited(status) => format!("did not boot (QEMU: {status})"),
    };
    bail!("the guest {name} {what}; the end of {}:\n{}", log.display(), process::tail(log))
}

/// Boots the kernel with this terminal as its console.
pub(super) fn shell(machine: &Machine<'_>) -> Result<()> {
    process::check(&mut machine.qemu())
}

/// What boots.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Cached,
    pub(super) layout: Layout,
    pub(super) archive: &'a Path,
    /// A disk; what is written to it is forgotten.
    pub(super) disk: Option<&'a Path>,
}

impl Machine<'_> {
    /// One processor and one thread: with more, TCG broke guests that patch code under load.
    /// setpriv ends QEMU when we are ended in a way that leaves us no time to do it.
    fn qemu(&self) -> Command {
        let processor = self.kernel.processor;
        let (emulator, machine) = processor.emulator();
        let mut command = if process::find("setpriv").is_some() {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--pdeathsig", "KILL", emulator]);
            setpriv
        } else {
            Command::new(emulator)
        };
        let line = format!("{}{}", processor.kernel_line(), self.layout.word());
        command
            .args(["-M", machine, "-cpu", "max", "-accel", "tcg,thread=single"])
            .args(["-smp", "1", "-m", "1024", "-nographic", "-no-reboot", "-nic", "none"])
            .args(["-append", &line])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(self.archive)
            .env("PATH", process::search_path());
        if let Some(disk) = self.disk {
            let drive = format!("file={},if=virtio,format=raw,snapshot=on", disk.display());
            command.arg("-drive").arg(drive);
        }
        command
    }
}

/// Removes what a boot needed and nobody reads afterwards.
pub(super) fn clean(archive: &Path) {
    // Left behind, it only takes room under target/.
    let _ = fs::remove_file(archive);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_lines_become_outcomes() {
        let mut transcript = Transcript::default();
        let console = [
            "SeaBIOS",
            "@@boot 6.1",
            "@@begin live",
            "test a ... ok",
            "no newline@@rc live 3",
            "@@done",
            "reboot: off",
        ];
        let shown: Vec<bool> = console.iter().map(|line| transcript.take(line)).collect();
        assert_eq!(shown, [false, false, false, true, true, false, false]);
        assert!(transcript.finished);
        let lines = vec!["test a ... ok".to_owned(), "no newline".to_owned()];
        assert_eq!(
            transcript.outcomes,
            [Outcome { label: "live".to_owned(), lines, code: Some(3) }]
        );
    }

    #[test]
    fn a_step_is_quoted_for_the_shell() {
        let script = Step::new("x", &["echo", "it's", "$HOME"]).script();
        assert!(script.contains(r"( run 'echo' 'it'\''s' '$HOME' )"), "{script}");
    }
}
