//! How a running agent takes new policies, feeds and signatures: compiled off the packet path, switched in
//! one store. What is wrong leaves what was in force.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::agent::{Agent, judge, policy_names, same_wiring, warn};
use super::prepare::{
    PrepareError, PreparedPolicy, PreparedSet, figures, fingerprint, names, prepare_policy,
    prepare_signatures,
};
use crate::config::Config;
use crate::engine::Input;
use crate::event::line::SignatureFigures;
use crate::signature::Compiled;

/// Signature sets whose names are kept: a verdict keeps its rule until its socket is gone.
const NAMED: usize = 16;

impl Agent {
    /// Takes the policies, feeds and signatures of new settings, and has the journal's file opened anew.
    pub async fn reload(&mut self, config: Config) {
        self.send(Input::Reopen).await;
        self.take_policy(&config, true).await;
        self.take_signatures(&config).await;
        self.settle(config);
    }

    /// Takes what has changed since the last time, because a file did.
    pub async fn reload_changed(&mut self, config: Config) {
        self.take_policy(&config, false).await;
        self.take_signatures(&config).await;
        self.settle(config);
    }

    fn settle(&mut self, config: Config) {
        if !same_wiring(&self.config, &config) {
            tracing::warn!(
                "cgroup, rawSockets, listen, events, stateDir, logLevel and what the score is made with change with a restart only"
            );
        }
        self.config = config;
    }

    /// Policies and feeds, both or neither. Those that say what is in force are put in force again
    /// only when asked for: a new generation has every flow judged anew.
    async fn take_policy(&mut self, config: &Config, always: bool) {
        let prepared = match prepare_policy(config) {
            Ok(prepared) => prepared,
            Err(error) => return self.refused(&error.to_string()).await,
        };
        let about = self.shared.about();
        let is_in_force = prepared.set == self.policy
            && prepared.feeds == self.names.feeds
            && prepared.egress == self.names.egress
            && about.mode == config.mode
            && about.policy_error.is_none();
        if is_in_force && !always {
            return;
        }
        // Events may name new entries before the last of them is written.
        self.send(Input::Incoming(Arc::clone(&prepared.feeds))).await;
        match self.shared.apply(&prepared.set, &prepared.feeds, &self.names.feeds) {
            Ok(Some(generation)) => self.applied(config, prepared, generation).await,
            Ok(None) => {}
            Err(error) => self.refused(&error.to_string()).await,
        }
    }

    async fn applied(&mut self, config: &Config, prepared: PreparedPolicy, generation: u32) {
        self.shared.set_judge(judge(&prepared));
        let PreparedPolicy { set, feeds, egress, warning, allowlist: _ } = prepared;
        self.shared.tell(|about| {
            about.mode = config.mode;
            about.stratum = set.modes.stratum;
            about.encrypted_mining = config.capped(config.encrypted_mining.mode);
            about.egress = set.modes.egress;
            about.prefixes = set.prefixes.len();
            about.policies = policy_names(config);
            about.policy_error = None;
            about.names = set.modes.names;
            about.feeds = feeds.feeds().to_vec();
        });
        self.shared.metrics().set_generation(generation);
        self.shared.metrics().set_feeds(feeds.tally());
        tracing::info!("policy applied, generation {generation}");
        warn(warning.as_deref());
        self.policy = set;
        self.names.egress = egress;
        self.names.feeds = feeds;
        self.send(Input::Applied(Box::new(self.names.clone()), generation)).await;
    }

    /// Says that new policies or feeds were not taken.
    pub async fn refused(&mut self, why: &str) {
        tracing::error!("the policy before stays in force: {why}");
        self.shared.metrics().policy_refused();
        self.shared.tell(|about| about.policy_error = Some(why.to_owned()));
        let (_, _, generation) = self.shared.attached();
        self.send(Input::Refused(generation, why.to_owned())).await;
    }

    async fn take_signatures(&mut self, config: &Config) {
        let about = self.shared.about();
        let now = fingerprint(config).map(|now| format!("{now:016x}"));
        let is_in_force = now.as_ref() == Some(&about.signatures.fingerprint);
        if is_in_force {
            if about.signature_error.is_some() {
                // The files say again what is in force: no swap, which would make flows forget.
                tracing::info!("the signature files are in force again");
                self.announce(about.signatures).await;
            }
            return;
        }
        let settings = config.clone();
        let prepared = spawn_blocking(move || prepare_signatures(&settings)).await;
        let prepared: Result<PreparedSet, PrepareError> = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.refused_signatures(&error.to_string()).await,
        };
        match prepared {
            Ok(prepared) => self.swap(prepared).await,
            Err(error) => self.refused_signatures(&error.to_string()).await,
        }
    }

    async fn swap(&mut self, prepared: PreparedSet) {
        // The kernel waits for its programs: tens of milliseconds that are no other task's.
        let (shared, compiled) = (Arc::clone(&self.shared), Arc::clone(&prepared.compiled));
        // Names first: events of the new set may be on their way before the switch has returned.
        self.name(self.shared.about().signatures.set + 1, &compiled);
        self.send(Input::Names(Box::new(self.names.clone()))).await;
        let number = match spawn_blocking(move || shared.swap(&compiled.signatures)).await {
            Ok(Ok(Some(number))) => number,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return self.refused_signatures(&error.to_string()).await,
            Err(error) => return self.refused_signatures(&error.to_string()).await,
        };
        let set = figures(number, &prepared);
        self.name(number, &prepared.compiled);
        tracing::info!("signatures applied, set {number}: {} rules", set.rules);
        self.announce(set).await;
    }

    /// Tells everyone which set is in force.
    async fn announce(&self, set: SignatureFigures) {
        self.shared.metrics().set_signatures(&set);
        self.shared.tell(|about| {
            about.signatures = set.clone();
            about.signature_error = None;
        });
        self.send(Input::Signatures(Box::new(self.names.clone()), set)).await;
    }

    /// Remembers what the numbers of a set stand for, also of one that never comes into force.
    fn name(&mut self, number: u32, set: &Arc<Compiled>) {
        self.sets.push(number, Arc::clone(set));
        let kept = &mut self.names.signatures;
        kept.retain(|set| set.number != number);
        kept.push(names(number, set));
        if kept.len() > NAMED {
            kept.remove(0);
        }
    }

    async fn refused_signatures(&mut self, why: &str) {
        tracing::error!("the signatures before stay in force: {why}");
        self.shared.metrics().signatures_refused();
        self.shared.tell(|about| about.signature_error = Some(why.to_owned()));
        let set = self.shared.about().signatures;
        self.send(Input::SignaturesRefused(set, why.to_owned())).await;
    }
}
