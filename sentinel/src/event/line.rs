//! The journal: one JSON object a line. `journal.schema.json` is generated from these types.

use schemars::JsonSchema;
use sentinel_common::event::{Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::verdict::{Loss, Reason, Verdict};
use serde::Serialize;

use super::hook;
pub use super::process::{Missing, Parent, Process, ProcessCgroup};
use super::socket::OpenSocket;
use super::suspicion::Suspicion;
use super::word::{Word, word_enum};
use crate::attribution::workload::Runtime;

/// A line of the journal. `kind` tells which.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Line {
    /// Something a socket did.
    Flow(Box<Flow>),
    /// Events that were like one before and were only counted.
    Suppressed(Suppressed),
    /// Something was lost.
    Losses(Losses),
    /// A policy came into force, or was refused.
    Policy(Policy),
    /// A signature set came into force, or was refused.
    Signatures(Signatures),
    /// Something happened to a hook.
    Hook(hook::Hook),
    /// A connection that was open before the agent was.
    Socket(Box<OpenSocket>),
    /// A connection that behaves like a miner's.
    Suspicion(Box<Suspicion>),
}

/// Something a socket did. `src` is this host's end whoever spoke, `direction` says who did.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Flow {
    /// When the kernel saw it, RFC 3339, UTC.
    pub time: String,
    /// What it tells of.
    pub kind: Word<Kind>,
    /// What was done.
    pub verdict: Word<Verdict>,
    /// Why.
    pub reason: Word<Reason>,
    /// This host's end, `address:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// The other end, `address:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
    /// `tcp`, `udp`, or the IP protocol's number.
    pub proto: String,
    /// Which side spoke, as seen from this host.
    pub direction: Word<Direction>,
    /// The kernel program that saw it.
    pub hook: Word<Hook>,
    /// Payload bytes of this direction read before the verdict.
    pub bytes: u32,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// What it belongs to: the cgroup that its socket was made in, which policy is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// `workload` is the process's: which cgroup the socket was made in is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub workload_is_callers: bool,
    /// Another process has made the socket, or used it before: it was inherited or handed over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub passed: bool,
    /// Where the process was, if not where the socket was made: it was moved, or the socket handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_cgroup: Option<ProcessCgroup>,
    /// The policy whose rule decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The rule of that policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The Kubernetes service that the other end is of, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The name that was asked for, in a DNS question or a TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names by which the workload itself had looked up the address of `dst`, the last first, as far as the
    /// answers still held. More than one share that address: then nobody can tell which was meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What says that a name or an address is a mining pool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedEntry>,
    /// What was read, when it was a mining-pool message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratum: Option<Stratum>,
    /// What was done beyond the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countermeasure: Option<Countermeasure>,
    /// Generation of the policy that judged.
    pub generation: u32,
    /// The socket's cookie; 0 when unknown.
    pub cookie: u64,
}

/// What a process belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Workload {
    /// Path of its cgroup from the cgroup2 root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Inode number of that cgroup's folder.
    pub cgroup_id: u64,
    /// The systemd unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The container's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Whose container it is, where its path tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Word<Runtime>>,
    /// The container's name within its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// What the container was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The Kubernetes pod's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The pod's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The Kubernetes pod's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// The object that the pod comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The cgroup v1 hierarchy that told container and pod, which `cgroup` does not tell: no policy on
    /// containers or pods is on it, for the kernel knows it by `cgroup` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v1_hierarchy: Option<String>,
}

/// The object that a pod comes from, such as a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Owner {
    /// `Deployment`, `DaemonSet`, `CronJob`, ...
    pub kind: String,
    /// Its name, in the pod's namespace.
    pub name: String,
}

/// An entry of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FeedEntry {
    /// What the feed calls itself.
    pub name: String,
    /// Where the feed can be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The domain, address or prefix.
    pub entry: String,
}

/// A mining-pool message. A string that the excerpt cut ends in `…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stratum {
    /// The dialect's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The signature rule that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What was recognised on either side.
    pub tokens: Vec<String>,
    /// The request's method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Wallet or account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The machine's name at the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What the miner calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The pool, `address:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

/// What was done beyond the verdict, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Countermeasure {
    /// What was done.
    pub action: Word<Measure>,
    /// What came of it.
    pub result: Word<MeasureResult>,
    /// The system's word for the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

word_enum! {
    /// What the agent does to a socket.
    Measure {
        /// The socket was destroyed: its owner sees `ECONNABORTED`.
        SockDestroy => "sock_destroy",
    }
}

word_enum! {
    /// What came of it.
    MeasureResult {
        /// It was done.
        Destroyed => "destroyed",
        /// There was no such socket any more.
        NotFound => "not_found",
        /// The kernel refused.
        Failed => "failed",
        /// No answer in time; the kernel program drops the flow's packets all the same.
        Pending => "pending",
    }
}

/// Events that were like one before and were only counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Suppressed {
    /// When the count was closed, RFC 3339, UTC.
    pub time: String,
    /// Always `suppressed`.
    pub kind: Word<SuppressedKind>,
    /// The reason they share.
    pub reason: Word<Reason>,
    /// The cgroup they share.
    pub cgroup_id: u64,
    /// The destination they share; absent when the cgroup as a whole was too loud.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
    /// How many.
    pub count: u64,
}

/// Something was lost, here or in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Losses {
    /// When it was noticed, RFC 3339, UTC.
    pub time: String,
    /// Always `loss`.
    pub kind: Word<LossKind>,
    /// What was lost.
    pub loss: Word<Loss>,
    /// How many since the last such line.
    pub count: u64,
}

/// A policy came into force, or was refused and the one before stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Policy {
    /// When, RFC 3339, UTC.
    pub time: String,
    /// Always `policy`.
    pub kind: Word<PolicyKind>,
    /// What happened.
    pub result: Word<PolicyResult>,
    /// The generation in force now.
    pub generation: u32,
    /// What is wrong with a refused one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A signature set came into force, or was refused and the one before stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Signatures {
    /// When, RFC 3339, UTC.
    pub time: String,
    /// Always `signatures`.
    pub kind: Word<SignaturesKind>,
    /// What happened.
    pub result: Word<PolicyResult>,
    /// The set in force now.
    #[serde(flatten)]
    pub set: SignatureFigures,
    /// What is wrong with a refused one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A signature set in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignatureFigures {
    /// Its number since the agent was started, counted from 1.
    pub set: u32,
    /// Hexadecimal; equal when the files say the same.
    pub fingerprint: String,
    /// The user's own files; the built-in ones have no name here.
    pub files: Vec<String>,
    /// Dialects.
    pub dialects: usize,
    /// Rules, alternatives spread out.
    pub rules: usize,
    /// Tokens.
    pub tokens: usize,
    /// States of the automaton.
    pub states: usize,
    /// Classes of symbols.
    pub classes: usize,
}

word_enum! {
    /// The kind of a [`Signatures`] line.
    SignaturesKind {
        /// The only one.
        Signatures => "signatures",
    }
}

word_enum! {
    /// The kind of a [`Suppressed`] line.
    SuppressedKind {
        /// The only one.
        Suppressed => "suppressed",
    }
}

word_enum! {
    /// The kind of a [`Losses`] line.
    LossKind {
        /// The only one.
        Loss => "loss",
    }
}

word_enum! {
    /// The kind of a [`Policy`] line.
    PolicyKind {
        /// The only one.
        Policy => "policy",
    }
}

word_enum! {
    /// What became of a policy.
    PolicyResult {
        /// It is in force.
        Applied => "applied",
        /// It is not, the one before is.
        Refused => "refused",
    }
}

#[cfg(test)]
mod tests {
    use crate::event::node::Record;

    /// `BLESS=1 cargo test` writes the file anew.
    #[test]
    fn the_schema_in_the_tree_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("journal.schema.json");
        // What is written, not what would be read: a field that may be left out is not required.
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<Record<'_>>();
        let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == current, "{} is not current: run the tests with BLESS=1", path.display());
    }
}
