//! The feeds that a configuration names, checked as `sentinel run` does.

use std::path::PathBuf;

use time::OffsetDateTime;

use crate::feed::{self, FeedError};
use crate::policy::{self, Diagnostic};

/// The feeds of one configuration.
pub(super) struct Named {
    /// The configuration's name.
    pub(super) by: String,
    /// Its policies, which exempt addresses.
    pub(super) policies: Vec<PathBuf>,
    /// Whether the list that comes with the agent stands before the others.
    pub(super) builtin: bool,
    /// The feeds that it names.
    pub(super) feeds: Vec<PathBuf>,
}

impl Named {
    /// Everything that is wrong with the first feed that is wrong, or with all of them together. A
    /// feed that cannot be read is an error.
    pub(super) fn check(&self) -> Result<Vec<Diagnostic>, String> {
        // What is wrong with the policies has been told by itself.
        let policies = policy::load(&self.policies).map_err(|error| error.to_string())?;
        let set = policy::compile(&policies, OffsetDateTime::UNIX_EPOCH);
        let exempt = set.map(|set| set.allowed_addresses()).unwrap_or_default();
        let whole = |file: &str, message: String| {
            let file = file.to_owned();
            Diagnostic { file, line: 0, column: 0, message, help: None }
        };
        match feed::gather(self.builtin, &self.feeds, &exempt) {
            Ok(_) => Ok(Vec::new()),
            Err(FeedError::Invalid(findings)) => {
                let more = findings.total.saturating_sub(findings.shown.len());
                let file = findings.shown.first().filter(|_| more > 0);
                let rest = file.map(|first| whole(&first.file, format!("and {more} more")));
                Ok(findings.shown.into_iter().chain(rest).collect())
            }
            Err(error @ FeedError::TooMany { .. }) => Ok(vec![whole(&self.by, error.to_string())]),
            Err(error @ FeedError::Load(_)) => Err(error.to_string()),
        }
    }
}
