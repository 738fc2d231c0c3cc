//! What the test binaries that need root have in common.

use anyhow::Result;
use libtest_mimic::{Failed, Trial};

/// A test that is skipped by name without root.
pub fn trial(name: impl Into<String>, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    let root = rustix::process::geteuid().is_root();
    let name: String = name.into();
    let name = if root { name } else { format!("{name} (needs root)") };
    let run = move || test().map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(name, run).with_ignored_flag(!root)
}
