//! The command line. Names here are scripted against: keep them.

mod policy;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{
    ConfigFile, EnforcementMode, FindingAction, Kubernetes, LogLevel, NodeFile, RootFallback,
    STATE_DIR, ScoringFile,
};
use crate::datapath::pin::FOLDER;

pub use policy::{DiffArgs, ExplainArgs, ExportFormat, LearnArgs, PolicyCommand, Protocol};

const EXAMPLES: &str = "\
Examples:
  sentinel doctor                                what this host can do
  sentinel run                                   watch, drop nothing
  sentinel run --mode enforce                    cut mining sessions
  sentinel run --policy egress.yaml --listen 127.0.0.1:9100
  sentinel sockets                               who talks to whom now
  sentinel replay capture.pcap                   what would have been cut

Exit codes: 0 done, 1 failed, 2 a check found something, 64 bad usage or bad configuration.";

const RUN_EXAMPLES: &str = "\
Examples:
  sentinel run
      Watch the whole host. Mining sessions and their processes appear as a table.
  sentinel run --mode enforce --events /var/log/sentinel.json
      Cut mining sessions, and keep a journal of JSON lines.
  sentinel run --policy /etc/sentinel/policies --cgroup /sys/fs/cgroup/system.slice
      Hold one subtree to an allowlist of destinations.

Signals: TERM or INT detaches and ends; HUP reads configuration, policies, feeds and signatures again
and opens the journal's file anew. Files that change are read again within seconds without it. What
is wrong leaves what was before in force.";

const SOCKETS_NOTES: &str = "\
AGE is what the agent has seen: a connection that was open when it started is \"older\", and is at
least so old as it has been silent. VERDICT is the gravest that was found on the connection, or what
would become of it today. What something speaks against is first, then the oldest.

Examples:
  sentinel sockets
  sentinel sockets --format json | jq '.connections[] | select(.older_than_agent)'";

/// Finds and cuts cryptomining traffic on this host, and says whose it was.
///
/// sentinel loads programs into the kernel that read the first bytes of every connection. A session
/// that speaks a mining-pool protocol is reported with its process, and under --mode enforce it is
/// cut at that very packet. Destinations can be held to an allowlist as well.
#[derive(Debug, Parser)]
#[command(name = "sentinel", version, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch this host, and cut mining sessions if told to
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Say what this kernel and host offer, what is missing, and what that costs
    Doctor(FormatArgs),
    /// Ask the running agent how it is
    Status(StatusArgs),
    /// Ask the running agent which connections are open, whose they are, and what it thinks of them
    #[command(after_help = SOCKETS_NOTES)]
    Sockets(StatusArgs),
    /// Take out of the kernel what an agent with --pin has left there
    Unpin {
        /// Where it was pinned
        #[arg(value_name = "DIR", default_value = FOLDER)]
        folder: PathBuf,
    },
    /// Check, explain, compare, learn and export policies without putting them in force
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Look at feeds of mining pools without putting them in force
    #[command(subcommand)]
    Feed(FeedCommand),
    /// Read recorded traffic and say what would have been cut
    #[command(
        after_help = "Examples:\n  sentinel replay capture.pcap\n  sentinel replay --engine kernel --format json *.pcapng"
    )]
    Replay(ReplayArgs),
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Settings as YAML; flags win over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A policy, or a folder of them; may be given several times
    #[arg(long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// A list of mining pools' domains, addresses or prefixes; may be given several times
    #[arg(long = "feed", value_name = "FILE")]
    pub feeds: Vec<PathBuf>,
    /// Leave out the list of pools that comes with the agent
    #[arg(long)]
    pub no_builtin_feed: bool,
    /// Signatures of your own (TOML), or a folder of them; may be given several times
    #[arg(long = "signatures", value_name = "PATH")]
    pub signatures: Vec<PathBuf>,
    /// Watch only what runs in this cgroup2 folder and below [default: the whole host]
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Whether anything is dropped at all [default: audit]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<EnforcementMode>,
    /// Whether to enforce on a hybrid host with net_cls or net_prio mounted whose kernel (an old one, without
    /// a fix of 5.15) judges sockets by the root cgroup as soon as a group is tagged [default: refuse]
    #[arg(long, value_name = "WHAT")]
    pub root_fallback: Option<RootFallback>,
    /// What becomes of a mining session [default: what the policies say, else block]
    #[arg(long, value_name = "ACTION")]
    pub stratum: Option<FindingAction>,
    /// What becomes of a question for a mining pool's name, or a connection to its address
    /// [default: alert]
    #[arg(long, value_name = "ACTION")]
    pub names: Option<FindingAction>,
    /// What becomes of a coin's peer-to-peer protocol [default: alert]
    #[arg(long, value_name = "ACTION")]
    pub peer_to_peer: Option<FindingAction>,
    /// What becomes of a connection that cannot be read and behaves like a miner's [default: alert]
    #[arg(long, value_name = "ACTION")]
    pub encrypted_mining: Option<FindingAction>,
    /// Leave what is enforced in the kernel when the agent goes, until `sentinel unpin`: a folder on a
    /// bpffs, e.g. /sys/fs/bpf/sentinel [default: everything goes with the agent]
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    pub pin: Option<PathBuf>,
    /// Serve /metrics, /healthz and /readyz here; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Write events as JSON lines to this file, or to standard output with -
    /// [default: a table on a terminal, JSON lines elsewhere]
    #[arg(long, value_name = "FILE|-", verbatim_doc_comment)]
    pub events: Option<PathBuf>,
    /// Folder for the agent's socket [default: /run/sentinel]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How much is told on standard error [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
}

impl RunArgs {
    /// What was typed, in the form of a configuration file.
    #[must_use]
    pub fn typed(&self) -> ConfigFile {
        ConfigFile {
            mode: self.mode,
            stratum: self.stratum,
            names: self.names,
            peer_to_peer: self.peer_to_peer,
            raw_sockets: None,
            root_fallback: self.root_fallback,
            encrypted_mining: ScoringFile { mode: self.encrypted_mining, ..ScoringFile::default() },
            policies: self.policies.clone(),
            resolvers: Vec::new(),
            discover_resolvers: None,
            feeds: self.feeds.clone(),
            builtin_feed: self.no_builtin_feed.then_some(false),
            signatures: self.signatures.clone(),
            builtin_signatures: None,
            cri: None,
            kubernetes: Kubernetes::default(),
            node: NodeFile::default(),
            cgroup: self.cgroup.clone(),
            pin: self.pin.clone(),
            listen: self.listen,
            events: self.events.clone(),
            state_dir: self.state_dir.clone(),
            log_level: self.log_level,
        }
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// `--format` alone.
#[derive(Debug, Args)]
pub struct FormatArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Flags of what asks the running agent.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Folder of the agent's socket
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
}

/// What to do with feeds.
#[derive(Debug, Subcommand)]
pub enum FeedCommand {
    /// Say what these feeds hold and everything that is wrong with them; exit code 2 if anything is
    #[command(
        after_help = "A line of a feed is a domain (it means everything below it too), an address, a prefix, a URL\nor a line of a hosts file; # begins a comment. Comments at the beginning may say where it is\nfrom: # name: … # source: … # license: … # updated: …\n\nExample:\n  sentinel feed check pools.txt && sentinel run --feed pools.txt"
    )]
    Check {
        /// Feed files; none is the list that comes with the agent
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

/// Flags of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Captures: pcap or pcapng
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Signatures of your own (TOML), or a folder of them; may be given several times
    #[arg(long = "signatures", value_name = "PATH")]
    pub signatures: Vec<PathBuf>,
    /// Where the packets are judged
    #[arg(long, value_enum, default_value_t = EngineKind::Host)]
    pub engine: EngineKind,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Where a replay judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// In this process; needs no privileges
    Host,
    /// In the kernel programs themselves; needs root
    Kernel,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_run_arrive_in_the_settings() {
        let line = "sentinel run --policy a --policy b --signatures s --mode enforce --stratum alert --listen [::1]:0 --events - --state-dir s --log-level warn --cgroup /c --feed f --no-builtin-feed";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        let typed = args.typed();
        assert_eq!(typed.policies, [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(typed.signatures, [PathBuf::from("s")]);
        assert_eq!(typed.mode, Some(EnforcementMode::Enforce));
        assert_eq!(typed.stratum, Some(FindingAction::Alert));
        assert_eq!(typed.events, Some("-".into()));
        assert_eq!((typed.feeds, typed.builtin_feed), (vec!["f".into()], Some(false)));
    }
}
