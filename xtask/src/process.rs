//! Running other programs: quietly with a log, or with every line passed on.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _, pipe};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::project;

/// How much of a log is shown when its tool fails.
const TAIL_LINES: usize = 25;

/// The program of that name in PATH, cargo's own folder, or where Debian keeps root's tools.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|dir| dir.join(name)).find(|path| {
        fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

/// PATH with cargo's binaries (bpf-linker is one) and root's tools added at its end.
pub(crate) fn search_path() -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    dirs.extend(cargo_home().map(|home| home.join("bin")));
    dirs.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    env::join_paths(dirs).unwrap_or(path)
}

/// Where cargo keeps what it fetched.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Runs a program with its output shown; an error when it fails.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let name = name(command);
    let status = command.status().with_context(|| cannot_start(&name))?;
    if status.success() { Ok(()) } else { bail!("{name} failed ({status}): see above") }
}

/// Runs a program and returns what it printed; an error with its complaint when it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = name(command);
    printed(&name, command.output().with_context(|| cannot_start(&name))?)
}

/// The same of a program that reads a text first.
pub(crate) fn fed(command: &mut Command, text: &str) -> Result<String> {
    let name = name(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| cannot_start(&name))?;
    let input = child.stdin.take().context("a program without input")?;
    thread::scope(|scope| {
        // One that does not read on ends the pipe, and says why.
        scope.spawn(move || { &input }.write_all(text.as_bytes()));
        printed(&name, child.wait_with_output()?)
    })
}

fn printed(name: &str, output: Output) -> Result<String> {
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed ({}): {}", output.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program with its output kept in a log, whose tail is in the error when it fails.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let name = name(command);
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status = command.status().with_context(|| cannot_start(&name))?;
    if status.success() {
        return Ok(());
    }
    bail!("{name} failed ({status}); the end of {}:\n{}", log.display(), tail(log))
}

/// Replaces this process by the program, so that signals reach it directly.
pub(crate) fn become_program(mut command: Command) -> Result<()> {
    let name = name(&command);
    Err(anyhow!(command.exec()).context(cannot_start(&name)))
}

/// How a watched program ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// It was ended, as its time was over.
    TimedOut,
}

/// Runs a program, hands every line of its output to `on_line` and to the log.
pub(crate) fn watch(
    mut command: Command,
    log: &Path,
    timeout: Option<Duration>,
    mut on_line: impl FnMut(&str),
) -> Result<Ending> {
    let name = name(&command);
    let mut log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let (reader, writer) = pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| cannot_start(&name))?;
    // The command holds our ends of the pipe: without them gone, the reader would never see its end.
    drop(command);
    let (send, lines) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            if send.send(plain(&String::from_utf8_lossy(&line))).is_err() {
                return;
            }
            line.clear();
        }
    });
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left =
            deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        match lines.recv_timeout(left.min(Duration::from_secs(3600))) {
            Ok(line) => {
                writeln!(log, "{line}")?;
                on_line(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Exited(child.wait()?)),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                child.kill()?;
                child.wait()?;
                return Ok(Ending::TimedOut);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// A line without what would move a terminal's cursor or clear its screen, as firmware does.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.trim_end().chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' if rest.next() == Some('[') => {
                // The parameters of a control sequence end with a letter.
                let _ = rest.by_ref().find(char::is_ascii_alphabetic);
            }
            '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(TAIL_LINES);
    lines.into_iter().skip(skip).map(|line| format!("    {line}\n")).collect()
}

/// The first line of a file of the machine, without its end; empty when there is none.
pub(crate) fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// Cargo, with the folder of the workspace and a PATH that has bpf-linker in it.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(project::root()).env("PATH", search_path());
    command
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    match command.get_args().next().map(|arg| arg.to_string_lossy()) {
        Some(verb) if !verb.starts_with('-') && !verb.contains('/') => {
            format!("`{program} {verb}`")
        }
        _ => format!("`{program}`"),
    }
}

fn cannot_start(name: &str) -> String {
    format!("cannot start {name}: is it installed and in PATH?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_of_a_console_are_dropped() {
        assert_eq!(plain("\x1bc\x1b[?7l\x1b[2J@@boot\t6.1\r\n"), "@@boot\t6.1");
        assert_eq!(plain("plain [text]"), "plain [text]");
    }

    #[test]
    fn a_watched_program_ends_by_itself_or_when_its_time_is_over() {
        let log = env::temp_dir().join(format!("xtask-watch-{}.log", std::process::id()));
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo one; echo two >&2; exit 3"]);
        let mut lines = Vec::new();
        let ending = watch(shell, &log, None, |line| lines.push(line.to_owned())).unwrap();
        assert!(matches!(ending, Ending::Exited(status) if status.code() == Some(3)));
        assert_eq!(lines, ["one", "two"]);
        let mut sleep = Command::new("sleep");
        sleep.arg("60");
        let ending = watch(sleep, &log, Some(Duration::from_millis(50)), |_| {}).unwrap();
        assert!(matches!(ending, Ending::TimedOut));
        fs::remove_file(&log).unwrap();
    }
}
