//! Who may touch the kernel, and how to become that user.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// How to run the whole ladder as root; `env` keeps cargo findable where sudo resets PATH.
pub(crate) const TEST_AS_ROOT: &str = "sudo -E env PATH=\"$PATH\" cargo xtask test";

/// Whether this process is root. (The owner of /proc/self is the effective user.)
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// A command that runs `program` as root: directly, or through sudo.
pub(crate) fn command(program: &Path, args: &[String]) -> Result<Command> {
    let mut command = if is_root() {
        Command::new(program)
    } else if process::find("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg("-E").arg(program);
        sudo
    } else {
        bail!(
            "only root may load programs into the kernel: run `su -c '{} {}'`",
            program.display(),
            args.join(" ")
        );
    };
    command.args(args);
    Ok(command)
}
