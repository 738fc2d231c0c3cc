//! What is said to the reader, and whether in colour.

use std::io::{IsTerminal as _, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Remembers `--verbose`.
pub(crate) fn set_verbose(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// Whether the output of tools is shown as it comes: on a terminal, or when asked for.
pub(crate) fn live() -> bool {
    VERBOSE.load(Ordering::Relaxed) || stdout().is_terminal()
}

/// One line about what happens now.
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("{} {}", paint(stderr().is_terminal(), "36", "xtask:"), line.as_ref());
}

/// Why the verb failed; the causes follow on the same line.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("{} {error:#}", paint(stderr().is_terminal(), "1;31", "error:"));
}

/// A word for standard output, green when all is well.
pub(crate) fn verdict(word: &str, good: bool) -> String {
    paint(stdout().is_terminal(), if good { "32" } else { "1;31" }, word)
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
