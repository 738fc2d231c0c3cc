//! `sentinel policy …`

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;
use crate::config::{EnforcementMode, STATE_DIR};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say everything that is wrong with policies, signatures and configurations; exit code 2 if
    /// anything is
    #[command(
        after_help = "A .toml file holds signatures, a .yaml file is a policy (it has an apiVersion) or a configuration.\n\nExample:\n  sentinel policy check egress.yaml pools.toml && kill -HUP $(pidof sentinel)"
    )]
    Check {
        /// Files, or folders of them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Say what becomes of one connection, and which policy, rule and line says so; exit code 2 if it
    /// would not simply be allowed
    #[command(
        after_help = "Without --policy and --config it is asked of the policies of the running agent.\n\nExamples:\n  sentinel policy explain --workload unit:shop.service --to 192.0.2.7:443\n  sentinel policy explain --policy egress.yaml --workload /system.slice/shop.service --to api.example.com:443\n  sentinel policy explain --workload pod:shop/web-1 --labels app=web --from 10.0.0.9 --port 8080"
    )]
    Explain(ExplainArgs),
    /// Say what the policies under audit would have cut if they were enforced, or how policy files
    /// differ; exit code 2 if anything would be cut, or the files differ
    #[command(
        after_help = "Examples:\n  sentinel policy diff                    what enforcement would cut, by the running agent's count\n  sentinel policy diff old.yaml new.yaml  policies that came, went, or say something else"
    )]
    Diff(DiffArgs),
    /// Write a policy for each workload from what it is seen to reach
    #[command(
        after_help = "Looks at every open connection now and then (needs root), and asks a running agent what its policies\nunder audit have told of. A connection that is shorter than the interval may be missed: put\n`egress: []` under `mode: audit` on the workload first, and every new destination tells.\n\nExamples:\n  sentinel policy learn --for 10m --workload unit:shop.service --out shop.yaml\n  sentinel policy learn --for 0s --since 1h        only what the agent was told in the last hour"
    )]
    Learn(LearnArgs),
    /// Write policies as objects that Kubernetes knows, and say what they cannot express
    #[command(
        after_help = "Exit code 2 when something could not be expressed.\n\nExample:\n  sentinel policy export --format cilium shop.yaml > shop-cilium.yaml"
    )]
    Export {
        /// What to write
        #[arg(long, value_enum)]
        format: ExportFormat,
        /// Policy files, or folders of them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Flags of `policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A policy, or a folder of them; may be given several times
    #[arg(long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// A configuration that names policies
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The most that is done [default: the agent's or the configuration's, else enforce]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<EnforcementMode>,
    /// Whose connection: /CGROUP/PATH, unit:NAME or pod:NAMESPACE/NAME
    #[arg(long, value_name = "WORKLOAD", default_value = "/")]
    pub workload: String,
    /// The pod's labels, as KEY=VALUE; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// The labels of the pod's namespace
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub namespace_labels: Vec<String>,
    /// Where it goes: ADDRESS:PORT, NAME:PORT, or either without a port for icmp
    #[arg(
        long,
        value_name = "HOST:PORT",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    pub to: Option<String>,
    /// What the name leads to, instead of asking; may be given several times
    #[arg(long = "address", value_name = "ADDRESS", requires = "to")]
    pub addresses: Vec<IpAddr>,
    /// Where it comes from
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<IpAddr>,
    /// The port here that it comes to
    #[arg(long, value_name = "PORT", requires = "from")]
    pub port: Option<u16>,
    /// The protocol
    #[arg(long, value_enum, default_value_t = Protocol::Tcp)]
    pub protocol: Protocol,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Folder of the agent's socket
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
}

/// Protocols that can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
    /// ICMP and ICMPv6, an echo request
    Icmp,
}

/// Flags of `policy diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Two policy files, or folders of them: what was and what is to be
    #[arg(value_name = "FILE", num_args = 2)]
    pub files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Folder of the agent's socket
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
}

/// Flags of `policy learn`.
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// How long to look, e.g. 30s, 10m, 2h; 0s takes only what a running agent knows
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "60s")]
    pub time: Duration,
    /// How often, 1s to 60s
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    pub interval: Duration,
    /// Of what the agent knows, only what was seen within this time
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// Only this workload, /CGROUP/PATH or unit:NAME; may be given several times
    #[arg(long = "workload", value_name = "WORKLOAD")]
    pub workloads: Vec<String>,
    /// From so many neighbours in a /24 or /64 on, the whole of it is written; 0 is never
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub merge: usize,
    /// Write to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Folder of the agent's socket
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
}

/// Objects that Kubernetes knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// networking.k8s.io/v1 NetworkPolicy
    Networkpolicy,
    /// cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy
    Cilium,
}

/// `90s`, `10m` or `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no duration, write e.g. 30s, 10m or 2h");
    let at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "10", "s", "1d", "-1s", "99999999999999999999s", "9999999999999999999h"] {
            assert!(duration(text).unwrap_err().contains("30s"), "{text}");
        }
    }
}
