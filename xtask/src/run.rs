//! `run`: build sentinel, become it.

use anyhow::Result;

use crate::build;
use crate::cli::Run;
use crate::process;
use crate::root;
use crate::setup;
use crate::term;

/// Builds and then is `sentinel run`, or the demo.
pub(crate) fn verb(args: &Run) -> Result<()> {
    let toolchain = setup::for_run()?;
    term::say("building sentinel as it is shipped (the first time about 4 min, then seconds)");
    let names: &[&str] =
        if args.demo { &["sentinel", "sentinel-demo", "sentinel-lab"] } else { &["sentinel"] };
    let built = build::programs(toolchain, names)?;
    let sentinel = built.path("sentinel")?;
    if args.demo {
        let mut demo_args = vec!["--sentinel".to_owned(), sentinel.display().to_string()];
        demo_args.extend(args.args.iter().cloned());
        return process::become_program(root::command(built.path("sentinel-demo")?, &demo_args)?);
    }
    let mut sentinel_args = vec!["run".to_owned()];
    if !names_mode(&args.args) {
        term::say(
            "adding --mode enforce: what is caught is dropped (-- --mode audit only reports)",
        );
        sentinel_args.extend(["--mode".to_owned(), "enforce".to_owned()]);
    }
    sentinel_args.extend(args.args.iter().cloned());
    process::become_program(root::command(sentinel, &sentinel_args)?)
}

fn names_mode(args: &[String]) -> bool {
    args.iter().any(|arg| arg == "--mode" || arg.starts_with("--mode="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_of_the_users_own_stands() {
        assert!(names_mode(&["--mode=audit".to_owned()]));
        assert!(names_mode(&["--listen".to_owned(), "x".to_owned(), "--mode".to_owned()]));
        assert!(!names_mode(&["--model".to_owned()]));
    }
}
