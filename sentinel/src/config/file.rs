//! The configuration file as it is written.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use sentinel_common::verdict::Mode;
use serde::{Deserialize, Deserializer};

use super::node::NodeFile;
use super::scoring::{self, ScoringFile};
use crate::signature::suggest;

/// Largest configuration file that is read, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Settings as typed; all are optional. Flags of the command line take the same form.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ConfigFile {
    /// `audit` or `enforce`.
    pub mode: Option<EnforcementMode>,
    /// `block`, `alert` or `off`.
    pub stratum: Option<FindingAction>,
    /// `block`, `alert` or `off`: a mining pool's name or address, by the feeds.
    pub names: Option<FindingAction>,
    /// `block`, `alert` or `off`: a coin's peer-to-peer protocol.
    pub peer_to_peer: Option<FindingAction>,
    /// `allow` or `refuse`: raw sockets and those that are no IP, where an allowlist is enforced.
    pub raw_sockets: Option<RawSockets>,
    /// `refuse` or `accept`: to enforce on a hybrid host with net_cls or net_prio mounted whose kernel (an
    /// old one, without a fix of 5.15) judges sockets by the root cgroup as soon as a group is tagged.
    pub root_fallback: Option<RootFallback>,
    /// Connections that behave like a miner's and cannot be read.
    #[serde(deserialize_with = "scoring::consistent")]
    pub encrypted_mining: ScoringFile,
    /// Policy files and folders of them.
    pub policies: Vec<PathBuf>,
    /// Servers, besides those found, whose answers say where a policy's names lead.
    pub resolvers: Vec<IpAddr>,
    /// Whether the servers of this host's `resolv.conf` are among them.
    pub discover_resolvers: Option<bool>,
    /// Files of mining pools' names and addresses.
    pub feeds: Vec<PathBuf>,
    /// Whether the list that comes with the agent is used.
    pub builtin_feed: Option<bool>,
    /// Signature files and folders of them, beside the built-in ones.
    pub signatures: Vec<PathBuf>,
    /// `false` leaves the built-in dialects out.
    pub builtin_signatures: Option<bool>,
    /// Sockets of the container runtimes that are asked which pods there are. Absent: those that are
    /// found at the usual places; an empty list: none.
    pub cri: Option<Vec<PathBuf>>,
    /// The Kubernetes API server, asked for this node's pods, labels of namespaces, addresses of services
    /// and policies.
    pub kubernetes: Kubernetes,
    /// What this machine is, where that is known better here than it is found out.
    pub node: NodeFile,
    /// The cgroup2 folder to attach to.
    pub cgroup: Option<PathBuf>,
    /// Folder on a bpffs for what is to stay in force when the agent goes; without one all goes with it.
    pub pin: Option<PathBuf>,
    /// Address and port for `/metrics`.
    #[serde(deserialize_with = "address")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub listen: Option<SocketAddr>,
    /// File for events, or `-`.
    pub events: Option<PathBuf>,
    /// Folder for the agent's socket.
    pub state_dir: Option<PathBuf>,
    /// How much is told on standard error.
    pub log_level: Option<LogLevel>,
}

/// How the Kubernetes API server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Kubernetes {
    /// The name that Kubernetes knows this node by; without one nothing is asked.
    pub node: Option<String>,
    /// File that says where the server is and who asks.
    pub kubeconfig: Option<PathBuf>,
    /// Whether addresses of services are followed, so that events name the services they go to.
    pub services: bool,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self { node: None, kubeconfig: None, services: true }
    }
}

/// Whether anything is dropped at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EnforcementMode {
    /// Report only
    Audit,
    /// Report and block
    Enforce,
}

/// What becomes of a raw socket where an allowlist is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawSockets {
    /// Its packets are judged like all others
    Allow,
    /// It cannot be made
    Refuse,
}

/// What becomes of enforcement where sockets may be judged by the root cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RootFallback {
    /// Do not enforce there
    Refuse,
    /// Enforce all the same
    Accept,
}

/// What becomes of a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FindingAction {
    /// Cut it (under --mode enforce)
    Block,
    /// Report it
    #[default]
    Alert,
    /// Do not look for it
    Off,
}

impl FindingAction {
    /// The most that this action does.
    #[must_use]
    pub const fn mode(self) -> Mode {
        match self {
            Self::Block => Mode::Enforce,
            Self::Alert => Mode::Audit,
            Self::Off => Mode::Off,
        }
    }
}

/// How much is told on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed
    Error,
    /// And what may need attention
    Warn,
    /// And what happens
    #[default]
    Info,
    /// And how
    Debug,
    /// And every step of it
    Trace,
}

/// Why a configuration file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file system refused.
    #[error("cannot read the configuration {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Larger than any configuration.
    #[error("the configuration {0} has more than {MAX_FILE} bytes: is it the right file?")]
    TooLarge(PathBuf),
    /// Not understood.
    #[error("{path}:{line}:{column}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong, and the nearest thing that is right.
        message: String,
    },
}

impl ConfigFile {
    /// Reads a file. Paths in it are taken from the folder that it is in.
    ///
    /// # Errors
    /// When it cannot be read or is not understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let io = |error| ConfigError::Io { path: path.to_owned(), error };
        if fs::metadata(path).map_err(io)?.len() > MAX_FILE {
            return Err(ConfigError::TooLarge(path.to_owned()));
        }
        let text = fs::read_to_string(path).map_err(io)?;
        let mut file = Self::parse(&text, path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let paths = file.policies.iter_mut().chain(&mut file.feeds).chain(&mut file.signatures);
        let paths = paths.chain(file.cri.iter_mut().flatten());
        for path in paths.chain(&mut file.kubernetes.kubeconfig).chain(&mut file.state_dir) {
            *path = base.join(&path);
        }
        file.events =
            file.events.map(|path| if path.as_os_str() == "-" { path } else { base.join(path) });
        Ok(file)
    }

    /// Reads text; `path` is for messages.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| explain(&error, path))
    }
}

fn explain(error: &serde_saphyr::Error, path: &Path) -> ConfigError {
    let error = error.without_snippet();
    let place = error.location();
    let message = match error {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
            let hint = suggest::clause(field, expected.iter().copied());
            format!("unknown key \"{field}\"{hint}; known are {}", expected.join(", "))
        }
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
            let hint = suggest::clause(variant, expected.iter().copied());
            format!("unknown value \"{variant}\"{hint}; write one of {}", expected.join(", "))
        }
        other => other.to_string(),
    };
    ConfigError::Invalid {
        path: path.to_owned(),
        line: place.map_or(0, |place| place.line()),
        column: place.map_or(0, |place| place.column()),
        message,
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let message = format!("\"{text}\" is no address with a port, write e.g. 127.0.0.1:9100");
        serde::de::Error::custom(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MetadataService, Scoring};
    use crate::detect::TermName;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(text, Path::new("c.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_understood() {
        let text = "mode: enforce\nstratum: alert\nnames: block\npeerToPeer: off\nrawSockets: refuse\n\
                    rootFallback: accept\n\
                    policies: [a.yaml, b]\nfeeds: [f.txt]\nbuiltinFeed: false\n\
                    resolvers: [10.96.0.10, 'fd00::a']\ndiscoverResolvers: false\n\
                    signatures: [s.toml]\nbuiltinSignatures: false\ncgroup: /sys/fs/cgroup/x\n\
                    cri: [/run/x.sock]\n\
                    kubernetes: {node: n, kubeconfig: k, services: false}\n\
                    node: {name: a, provider: aws, instance: i-0, account: 012345678901, region: r, zone: z, metadataService: off}\n\
                    listen: '[::1]:0'\nevents: '-'\nstateDir: s\nlogLevel: debug\n";
        let text = format!(
            "{text}encryptedMining: {{mode: block, threshold: 0.8, interval: 20s, watchFor: 2m, weights: {{cpu: 3}}}}\n"
        );
        let file = parse(&text).unwrap();
        assert_eq!(file.encrypted_mining.threshold, Some(0.8));
        let scoring = Scoring::new(None, &file.encrypted_mining);
        assert_eq!((scoring.mode, scoring.interval.as_secs()), (Mode::Enforce, 20));
        assert_eq!(scoring.settings.watch_for.as_secs(), 120);
        let fast = parse("encryptedMining: {interval: 500ms, watchFor: 15s}\n").unwrap();
        assert_eq!(fast.encrypted_mining.interval.map(|time| time.as_millis()), Some(500));
        assert!((scoring.settings.weights.of(TermName::Cpu) - 3.0).abs() < 1e-9);
        assert_eq!(file.cri, Some(vec!["/run/x.sock".into()]));
        assert_eq!(parse("cri: []\n").unwrap().cri, Some(Vec::new()));
        let kubernetes =
            Kubernetes { node: Some("n".into()), kubeconfig: Some("k".into()), services: false };
        assert_eq!(file.kubernetes, kubernetes);
        assert_eq!(file.node.metadata_service, Some(MetadataService::Off));
        let account = file.node.said().account;
        assert_eq!(account.as_deref(), Some("012345678901"), "no number, though it looks like one");
        assert_eq!(file.resolvers.len(), 2);
        assert_eq!(file.discover_resolvers, Some(false));
        assert_eq!(file.mode, Some(EnforcementMode::Enforce));
        assert_eq!(file.signatures, [PathBuf::from("s.toml")]);
        assert_eq!(file.builtin_signatures, Some(false));
        assert_eq!(file.raw_sockets, Some(RawSockets::Refuse));
        assert_eq!(file.root_fallback, Some(RootFallback::Accept));
        assert_eq!(file.listen, "[::1]:0".parse().ok());
        assert_eq!(file.log_level, Some(LogLevel::Debug));
        assert_eq!((file.feeds, file.builtin_feed), (vec!["f.txt".into()], Some(false)));
        assert_eq!(parse("# nothing yet\n").unwrap(), ConfigFile::default());
    }

    #[test]
    fn a_slip_is_named_with_its_place_and_the_mend() {
        let error = parse("mode: audit\npolicys: [a]\n").unwrap_err();
        assert!(
            error.starts_with("c.yaml:2:1: unknown key \"policys\" (did you mean \"policies\"?)"),
            "{error}"
        );
        let error = parse("mode: enforced\n").unwrap_err();
        assert!(error.contains("did you mean \"enforce\"?"), "{error}");
        for (text, said) in [
            ("encryptedMining: {weights: {cup: 3}}", "did you mean \"cpu\"?"),
            ("encryptedMining: {threshold: 7}", "from 0 to 1"),
            ("encryptedMining: {interval: 100ms}", "250ms to 60s"),
            ("encryptedMining: {interval: 99999999999999999999m}", "250ms to 60s"),
            ("encryptedMining: {watchFor: 1s}", "5s to 60m"),
            (
                "encryptedMining: {interval: 1s}",
                "an interval of 5s or more, or watchFor 60s or less",
            ),
            ("encryptedMining: {watchFor: 20m}", "an interval of 20s or more"),
            ("encryptedMining: {interval: soon}", "e.g. 10s"),
            ("encryptedMining: {weights: {cpu: -1}}", "from 0 to 100"),
            ("encryptedMining: {mod: off}", "did you mean \"mode\"?"),
            ("node: {instanse: i-0}", "did you mean \"instance\"?"),
            ("node: {zone: ''}", "1 to 253 characters"),
            ("node: {metadataService: on}", "write one of auto, off"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        let error = parse("listen: 9100\n").unwrap_err();
        assert!(error.contains("127.0.0.1:9100"), "{error}");
    }

    #[test]
    fn paths_are_taken_from_the_files_own_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        let text = "policies: [p.yaml, /abs]\nfeeds: [f.txt]\nsignatures: [s]\nevents: '-'\n";
        fs::write(&path, text).unwrap();
        let file = ConfigFile::read(&path).unwrap();
        assert_eq!(file.policies, [folder.path().join("p.yaml"), "/abs".into()]);
        assert_eq!(file.feeds, [folder.path().join("f.txt")]);
        assert_eq!(file.signatures, [folder.path().join("s")]);
        assert_eq!(file.events, Some("-".into()));
    }
}
