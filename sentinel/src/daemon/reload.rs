//! How a running agent takes new policies, feeds and signatures: compiled off the packet path, switched in
//! one store. What is wrong leaves what was in force.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use sentinel_common::verdict::Mode;
use tokio::task::spawn_blocking;

use super::agent::{Agent, judge, policy_names, same_wiring, warn};
use super::learning::Sources;
use super::prepare::{
    PreparedPolicy, PreparedSet, figures, names, policy_rules, prepare_other_signatures,
    prepare_policy,
};
use super::{recheck, workloads};
use crate::api::in_force;
use crate::config::Config;
use crate::datapath::DatapathError;
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
                "cgroup, cri, kubernetes, pin, rawSockets, listen, events, stateDir, logLevel and what the score is made with change with a restart only"
            );
        }
        // The thread lives as long as the agent.
        let _ = self.learning.send(Sources::of(&config));
        self.config = config;
    }

    /// Policies and feeds, both or neither. Those that say what is in force are put in force again
    /// only when asked for: a new generation has every flow judged anew.
    async fn take_policy(&mut self, config: &Config, always: bool) {
        let settings = config.clone();
        let (sources, around) = (self.told.objects.sources(), self.told.peers.now());
        let library = self.policy.library();
        let prepare = move || prepare_policy(&settings, sources, around.among(), &library);
        let (prepared, refused) = match aside(prepare).await {
            Ok(prepared) => prepared,
            Err(why) => return self.refused(&why).await,
        };
        self.told.objects.refuse(refused);
        let about = self.shared.about();
        let is_in_force = prepared.says_the_same(&self.policy)
            && about.mode == config.mode
            && about.encrypted_mining == config.capped(config.encrypted_mining.mode)
            && about.policy_error.is_none();
        if prepared.work().resolved > 0 {
            self.told.peers.keep();
        }
        if is_in_force && !always {
            // The texts may be others that come to the same.
            self.policy = prepared;
            return;
        }
        self.put_in_force(config, prepared).await;
    }

    /// Has rules on workloads mean the pods that are there now.
    pub async fn follow_peers(&mut self) {
        if !self.policy.set.asks_for_peers() {
            return;
        }
        let (before, config, around) =
            (self.policy.clone(), self.config.clone(), self.told.peers.now());
        let prepared = match aside(move || before.among(&config, around.among())).await {
            Ok(Some(prepared)) => prepared,
            // Nobody here is on the policies that mean others now.
            Ok(None) => return,
            Err(why) => return self.refused(&why).await,
        };
        self.told.peers.keep();
        if prepared.says_the_same(&self.policy) {
            self.policy = prepared;
            return;
        }
        // What was wrong with files is wrong with them still.
        let error = self.shared.about().policy_error;
        self.put_in_force(&self.config.clone(), prepared).await;
        self.shared.tell(|about| about.policy_error = about.policy_error.take().or(error));
    }

    async fn put_in_force(&mut self, config: &Config, prepared: PreparedPolicy) {
        // Events may name new entries before the last of them is written.
        self.send(Input::Incoming(Arc::clone(&prepared.feeds))).await;
        let (shared, before) = (Arc::clone(&self.shared), Arc::clone(&self.names.feeds));
        let (workloads, settings) = (Arc::clone(&self.workloads), config.clone());
        let apply = move || {
            let plan = workloads.plan(&prepared, &settings);
            let applied = shared.apply(&plan.image, &prepared.feeds, &before)?;
            Ok::<_, DatapathError>(applied.map(|generation| {
                let numbers = plan.numbers().to_vec();
                workloads.applied(plan);
                (prepared, numbers, generation)
            }))
        };
        match aside(apply).await {
            Ok(Some((prepared, numbers, generation))) => {
                self.applied(config, prepared, numbers, generation).await;
            }
            Ok(None) => {}
            Err(why) => self.refused(&why).await,
        }
    }

    async fn applied(
        &mut self,
        config: &Config,
        prepared: PreparedPolicy,
        numbers: Vec<u16>,
        generation: u32,
    ) {
        let pods = self.shared.pods().clone();
        self.shared.set_judge(judge(&prepared, numbers.clone(), config.mode, pods));
        let PreparedPolicy { modes, set, feeds, warnings, .. } = &prepared;
        self.shared.audit(set, config.mode, generation);
        self.shared.tell(|about| {
            about.mode = config.mode;
            about.stratum = modes.stratum;
            about.encrypted_mining = config.capped(config.encrypted_mining.mode);
            about.egress = modes.egress;
            about.prefixes = set.prefixes();
            about.policies = policy_names(config);
            about.in_force = in_force(set, config.mode);
            about.policy_error = None;
            about.warnings.clone_from(warnings);
            about.names = modes.names;
            about.feeds = feeds.feeds().to_vec();
        });
        self.shared.metrics().set_generation(generation);
        self.shared.metrics().set_feeds(feeds.tally());
        tracing::info!("policy applied, generation {generation}");
        warn(warnings);
        // Events of the policies before may be on their way: their numbers keep their names.
        let mut policies = BTreeMap::clone(&self.names.policies);
        policies.extend(policy_rules(set, &numbers));
        self.names.policies = Arc::new(policies);
        self.names.feeds = Arc::clone(feeds);
        self.policy = prepared;
        self.send(Input::Applied(Box::new(self.names.clone()), generation)).await;
        workloads::prepare_next(&self.shared);
        if config.mode == Mode::Enforce {
            recheck::start(&self.shared, &self.inputs);
        }
    }

    /// Says that new policies or feeds were not taken.
    pub async fn refused(&mut self, why: &str) {
        tracing::error!("the policy before stays in force: {why}");
        self.shared.metrics().policy_refused();
        self.shared.tell(|about| about.policy_error = Some(why.to_owned()));
        let generation = self.shared.attached().generation;
        self.send(Input::Refused(generation, why.to_owned())).await;
    }

    async fn take_signatures(&mut self, config: &Config) {
        let about = self.shared.about();
        let (settings, in_force) = (config.clone(), about.signatures.fingerprint.clone());
        match aside(move || prepare_other_signatures(&settings, &in_force)).await {
            Ok(Some(prepared)) => self.swap(prepared).await,
            Ok(None) if about.signature_error.is_some() => {
                // The files say again what is in force: no swap, which would make flows forget.
                tracing::info!("the signature files are in force again");
                self.announce(about.signatures).await;
            }
            Ok(None) => {}
            Err(why) => self.refused_signatures(&why).await,
        }
    }

    async fn swap(&mut self, prepared: PreparedSet) {
        let (shared, compiled) = (Arc::clone(&self.shared), Arc::clone(&prepared.compiled));
        // Names first: events of the new set may be on their way before the switch has returned.
        self.name(self.shared.about().signatures.set + 1, &compiled);
        self.send(Input::Names(Box::new(self.names.clone()))).await;
        // The kernel waits for its programs: tens of milliseconds that are no other task's.
        let number = match aside(move || shared.swap(&compiled.signatures)).await {
            Ok(Some(number)) => number,
            Ok(None) => return,
            Err(why) => return self.refused_signatures(&why).await,
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

/// Does on a thread of its own what may take seconds: events, figures and the status go on meanwhile.
/// A failure is a sentence.
async fn aside<T: Send + 'static, E: Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, String> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panicked) => Err(panicked.to_string()),
    }
}
