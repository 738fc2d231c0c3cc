//! What was typed, in a file and on the command line, to what is true.

#[cfg(test)]
mod documented;
mod file;
mod node;
mod scoring;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use file::{
    ConfigError, ConfigFile, EnforcementMode, FindingAction, Kubernetes, LogLevel, RawSockets,
    RootFallback,
};
pub use node::{MetadataService, NodeFile};
pub use scoring::{Scoring, ScoringFile};
use sentinel_common::verdict::Mode;

/// Where the agent keeps its socket when nothing else is said.
pub const STATE_DIR: &str = "/run/sentinel";

/// Valid settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The most that is done about anything: `Audit` or `Enforce`.
    pub mode: Mode,
    /// What a mining-pool message leads to; `None` leaves it to the policies.
    pub stratum: Option<Mode>,
    /// What a mining pool's name or address leads to.
    pub names: Mode,
    /// What a coin's peer-to-peer protocol leads to.
    pub peer_to_peer: Mode,
    /// Whether raw sockets are refused where an allowlist is enforced.
    pub refuse_raw: bool,
    /// Whether to enforce also where sockets may be judged by the root cgroup.
    pub accept_root_fallback: bool,
    /// What a connection that behaves like a miner's and cannot be read leads to.
    pub encrypted_mining: Scoring,
    /// Policy files and folders of them.
    pub policies: Vec<PathBuf>,
    /// Servers whose answers say where a policy's names lead.
    pub resolvers: Vec<IpAddr>,
    /// Whether those of this host's `resolv.conf` are among them.
    pub discover_resolvers: bool,
    /// Files of mining pools' names and addresses.
    pub feeds: Vec<PathBuf>,
    /// Whether the list that comes with the agent stands before them.
    pub builtin_feed: bool,
    /// Signature files and folders of them.
    pub signatures: Vec<PathBuf>,
    /// Whether the built-in dialects are looked for as well.
    pub builtin_signatures: bool,
    /// The file that these settings are from, if any.
    pub file: Option<PathBuf>,
    /// Container runtimes' sockets; `None` is those that are found.
    pub cri: Option<Vec<PathBuf>>,
    /// How the Kubernetes API server is asked.
    pub kubernetes: Kubernetes,
    /// What this machine is.
    pub node: NodeFile,
    /// The cgroup2 folder to attach to; `None` is the root.
    pub cgroup: Option<PathBuf>,
    /// Folder on a bpffs for what is to outlive the agent.
    pub pin: Option<PathBuf>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub listen: Option<SocketAddr>,
    /// Where events go as JSON lines, `-` being standard output.
    pub events: Option<PathBuf>,
    /// Where the agent's socket is.
    pub state_dir: PathBuf,
    /// How much is told on standard error.
    pub log_level: LogLevel,
}

impl Config {
    /// Settings from the command line over those from the file over the defaults.
    #[must_use]
    pub fn new(typed: ConfigFile, file: ConfigFile) -> Self {
        let policies = if typed.policies.is_empty() { file.policies } else { typed.policies };
        let feeds = if typed.feeds.is_empty() { file.feeds } else { typed.feeds };
        let signatures =
            if typed.signatures.is_empty() { file.signatures } else { typed.signatures };
        Self {
            mode: match typed.mode.or(file.mode) {
                Some(EnforcementMode::Enforce) => Mode::Enforce,
                Some(EnforcementMode::Audit) | None => Mode::Audit,
            },
            stratum: typed.stratum.or(file.stratum).map(FindingAction::mode),
            names: typed.names.or(file.names).unwrap_or_default().mode(),
            peer_to_peer: typed.peer_to_peer.or(file.peer_to_peer).unwrap_or_default().mode(),
            refuse_raw: typed.raw_sockets.or(file.raw_sockets) == Some(RawSockets::Refuse),
            accept_root_fallback: typed.root_fallback.or(file.root_fallback)
                == Some(RootFallback::Accept),
            encrypted_mining: Scoring::new(typed.encrypted_mining.mode, &file.encrypted_mining),
            policies,
            resolvers: file.resolvers,
            discover_resolvers: file.discover_resolvers.unwrap_or(true),
            feeds,
            builtin_feed: typed.builtin_feed.or(file.builtin_feed).unwrap_or(true),
            signatures,
            builtin_signatures: typed
                .builtin_signatures
                .or(file.builtin_signatures)
                .unwrap_or(true),
            file: None,
            cri: file.cri,
            kubernetes: file.kubernetes,
            node: file.node,
            cgroup: typed.cgroup.or(file.cgroup),
            pin: typed.pin.or(file.pin),
            listen: typed.listen.or(file.listen),
            events: typed.events.or(file.events),
            state_dir: typed.state_dir.or(file.state_dir).unwrap_or_else(|| STATE_DIR.into()),
            log_level: typed.log_level.or(file.log_level).unwrap_or_default(),
        }
    }

    /// What this setting comes to: nothing is dropped under `audit`.
    #[must_use]
    pub fn capped(&self, mode: Mode) -> Mode {
        mode.min(self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_dropped_until_someone_says_so() {
        let config = Config::new(ConfigFile::default(), ConfigFile::default());
        assert_eq!(config.mode, Mode::Audit);
        assert_eq!(config.capped(Mode::Enforce), Mode::Audit);
        assert_eq!(config.capped(Mode::Off), Mode::Off);
        assert_eq!(config.state_dir, PathBuf::from(STATE_DIR));
    }

    #[test]
    fn the_command_line_wins() {
        let file = ConfigFile {
            mode: Some(EnforcementMode::Enforce),
            stratum: Some(FindingAction::Off),
            policies: vec!["a".into()],
            ..ConfigFile::default()
        };
        let typed = ConfigFile {
            mode: Some(EnforcementMode::Audit),
            policies: vec!["b".into()],
            ..ConfigFile::default()
        };
        let config = Config::new(typed, file);
        assert_eq!(config.mode, Mode::Audit);
        assert_eq!(config.stratum, Some(Mode::Off));
        assert_eq!(config.policies, [PathBuf::from("b")]);
    }
}
