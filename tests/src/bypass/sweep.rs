//! Many attempts by one process, for machines on which starting one takes longer than the attempt.

use anyhow::{Context as _, Result};
use clap::Args;

use super::{Options, Report, run};

/// Attempts that one process makes, one after another.
#[derive(Debug, Clone, Args)]
pub struct Sweep {
    /// The attempts as JSON.
    attempts: String,
}

impl Sweep {
    /// These attempts.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn new(attempts: &[Options]) -> Result<Self> {
        Ok(Self { attempts: serde_json::to_string(attempts)? })
    }

    /// The attempts as arguments.
    #[must_use]
    pub fn into_args(self) -> [String; 1] {
        [self.attempts]
    }
}

/// Makes the attempts; one report for each.
///
/// # Errors
/// When they are no attempts, or one of them names no way.
pub fn sweep(sweep: &Sweep) -> Result<Vec<Report>> {
    let attempts: Vec<Options> =
        serde_json::from_str(&sweep.attempts).context("these are no attempts")?;
    attempts.iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_survive_the_command_line() {
        let attempt = Options {
            way: "udp_sendto".to_owned(),
            target: "[fd00:99::3]:7001".parse().unwrap(),
            other: "10.99.0.4:7001".parse().unwrap(),
            source: "10.99.0.1".parse().unwrap(),
            interface: "node0".to_owned(),
            marker: "a \"marker\"".to_owned(),
            wait_ms: 7,
        };
        let [argument] = Sweep::new(&[attempt.clone(), attempt.clone()]).unwrap().into_args();
        let read: Vec<Options> = serde_json::from_str(&argument).unwrap();
        let args: Vec<_> = read.iter().map(Options::to_args).collect();
        assert_eq!(args, [attempt.to_args(), attempt.to_args()]);
    }

    #[test]
    fn a_way_that_nobody_knows_is_an_error() {
        assert!(sweep(&Sweep { attempts: "[{}]".to_owned() }).is_err());
        assert_eq!(sweep(&Sweep { attempts: "[]".to_owned() }).unwrap().len(), 0);
    }
}
