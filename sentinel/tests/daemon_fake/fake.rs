//! A kernel that only remembers what it was told.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sentinel::datapath::{Attachment, Datapath, DatapathError, PolicyImage, ServerName};
use sentinel::feed::FeedSet;
use sentinel::names::{Shared, Swept};
use sentinel_common::flow::Flow;
use sentinel_common::policy::Binding;
use sentinel_common::signature::Signatures;
use sentinel_common::verdict::{COUNTERS, Reason, Verdict, outcome_counter};

/// What the fake kernel was told.
#[derive(Default)]
pub struct Told {
    pub rules: u32,
    pub sets: u32,
    pub policies: Vec<Arc<PolicyImage>>,
    pub feeds: Vec<Arc<FeedSet>>,
    pub detached: bool,
    pub resolvers: BTreeSet<IpAddr>,
    pub refuses: bool,
    /// Feeds take until this is dropped at its other end.
    pub holds: Option<std::sync::mpsc::Receiver<()>>,
}

pub struct Fake(pub Arc<Mutex<Told>>);

impl Datapath for Fake {
    fn set_signatures(&mut self, signatures: &Signatures) -> Result<u32, DatapathError> {
        let mut told = self.0.lock().unwrap();
        told.rules = signatures.rules_used;
        told.sets += 1;
        Ok(told.sets)
    }

    fn set_resolvers(&mut self, servers: &BTreeSet<IpAddr>) -> Result<(), DatapathError> {
        self.0.lock().unwrap().resolvers.clone_from(servers);
        Ok(())
    }

    fn has_patterns(&self) -> bool {
        true
    }

    fn sweep(&mut self, _: &HashSet<IpAddr>) -> Result<Swept, DatapathError> {
        let address = IpAddr::from([203, 0, 113, 1]);
        let shared = vec![Shared { address, patterns: vec![1, 2] }];
        Ok(Swept { known: 3, removed: 0, shared })
    }

    fn set_policy(&mut self, policy: &Arc<PolicyImage>) -> Result<u32, DatapathError> {
        if self.0.lock().unwrap().refuses {
            return Err(DatapathError::Map {
                map: "PREFIXES",
                what: "a prefix",
                why: "no room".to_owned(),
            });
        }
        self.0.lock().unwrap().policies.push(policy.clone());
        Ok(self.generation())
    }

    fn prepare_next(&mut self) -> Result<(), DatapathError> {
        Ok(())
    }

    fn bind(&mut self, _: u64, _: Option<&Binding>) -> Result<(), DatapathError> {
        Ok(())
    }

    fn set_feeds(&mut self, feeds: &Arc<FeedSet>) -> Result<(), DatapathError> {
        let holds = {
            let mut told = self.0.lock().unwrap();
            told.feeds.push(Arc::clone(feeds));
            told.holds.take()
        };
        holds.map(|other_end| other_end.recv());
        Ok(())
    }

    fn resume(&mut self, _: BorrowedFd<'_>, _: &Flow) -> Result<bool, DatapathError> {
        Ok(true)
    }

    fn server_name(&self, _: u64) -> Result<Option<ServerName>, DatapathError> {
        Ok(None)
    }

    fn counters(&self) -> Result<Vec<u64>, DatapathError> {
        let mut totals = vec![0; COUNTERS];
        totals[outcome_counter(Reason::Stratum, Verdict::Blocked) as usize] = 12;
        Ok(totals)
    }

    fn attachments(&self) -> Vec<Attachment> {
        let program = "egress".to_owned();
        vec![Attachment { program, target: "/sys/fs/cgroup".to_owned(), note: None }]
    }

    fn cgroup(&self) -> &Path {
        Path::new("/sys/fs/cgroup")
    }

    fn generation(&self) -> u32 {
        self.0.lock().unwrap().policies.len() as u32
    }
}
