//! Checks of a rung that has no harness of its own: named, counted and printed like tests.

use std::fmt;
use std::time::Instant;

use anyhow::{Error, Result};

use super::Tally;
use crate::root;

/// Why a check cannot run here. As an error it skips the check instead of failing it.
#[derive(Debug)]
pub(crate) struct Lacking(pub(crate) String);

impl fmt::Display for Lacking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Lacking {}

/// Turns what could not be installed into a skip for who may not install: root and CI have no excuse.
pub(crate) fn installed<T>(result: Result<T>) -> Result<T> {
    let excused = !root::is_root() && std::env::var_os("CI").is_none();
    result.map_err(|error| if excused { Lacking(format!("{error:#}")).into() } else { error })
}

/// Runs checks one after another and counts them.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    filter: Option<String>,
    tally: Tally,
}

impl Checks {
    /// Of the checks, those whose name contains the filter.
    pub(crate) fn new(filter: Option<&str>) -> Self {
        Self { filter: filter.map(str::to_owned), tally: Tally::default() }
    }

    /// Whether any of these is asked for, so that nothing is prepared for nobody.
    pub(crate) fn wants(&self, names: &[&str]) -> bool {
        let wanted = |filter: &String| names.iter().any(|name| name.contains(filter.as_str()));
        self.filter.as_ref().is_none_or(wanted)
    }

    /// Whether any of these is asked for by name: some take longer than everybody can be made to wait.
    pub(crate) fn names(&self, names: &[&str]) -> bool {
        self.filter.is_some() && self.wants(names)
    }

    /// Runs one check.
    pub(crate) fn run(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        if self.wants(&[name]) {
            let start = Instant::now();
            let result = check();
            self.count(name, result, &format!(" ({:.1} s)", start.elapsed().as_secs_f64()));
        }
    }

    /// Prepares what these checks need. When that fails, the first of them fails or is skipped for it,
    /// and the others are skipped by name.
    pub(crate) fn prepare<T>(
        &mut self,
        names: &[&str],
        prepare: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        if !self.wants(names) {
            return None;
        }
        let error = match prepare() {
            Ok(prepared) => return Some(prepared),
            Err(error) => error,
        };
        let mut wanted: Vec<&str> = names.to_vec();
        wanted.retain(|name| self.wants(&[name]));
        let (first, others) = wanted.split_first()?;
        let why = format!("as for {first}");
        self.count(first, Err(error), "");
        for name in others {
            self.count(name, Err(Lacking(why.clone()).into()), "");
        }
        None
    }

    /// What came of them.
    pub(crate) fn end(self) -> Tally {
        self.tally
    }

    fn count(&mut self, name: &str, result: Result<(), Error>, took: &str) {
        match result {
            Ok(()) => {
                println!("test {name} ... ok{took}");
                self.tally.passed += 1;
            }
            Err(error) if error.is::<Lacking>() => {
                println!("test {name} ... ignored, {error}");
                self.tally.skipped += 1;
                self.tally.notable.push(format!("skipped: {name}, {error}"));
            }
            Err(error) => {
                println!("test {name} ... FAILED{took}\n    {error:#}");
                self.tally.failed += 1;
                self.tally.notable.push(format!("failed: {name}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn checks_count_like_tests_and_what_cannot_run_is_skipped_by_name() {
        let mut checks = Checks::new(None);
        checks.run("a/good", || Ok(()));
        checks.run("a/bad", || Err(anyhow!("no")));
        checks.run("a/lacking", || Err(Lacking("no root".to_owned()).into()));
        let nothing: Option<()> = checks.prepare(&["b/first", "b/second"], || Err(anyhow!("no")));
        assert!(nothing.is_none());
        let tally = checks.end();
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 2, 2));
        assert_eq!(
            tally.notable,
            [
                "failed: a/bad",
                "skipped: a/lacking, no root",
                "failed: b/first",
                "skipped: b/second, as for b/first"
            ]
        );
    }

    #[test]
    fn a_filter_leaves_out_what_it_does_not_name() {
        let mut checks = Checks::new(Some("b/"));
        checks.run("a/bad", || Err(anyhow!("no")));
        assert!(checks.wants(&["a/bad", "b/good"]));
        assert!(checks.names(&["b/good"]) && !Checks::new(None).names(&["b/good"]));
        checks.run("b/good", || Ok(()));
        let tally = checks.end();
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 0, 0));
    }
}
