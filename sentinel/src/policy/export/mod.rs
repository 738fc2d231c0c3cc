//! Policies as objects that Kubernetes knows, as far as those can say the same. What they cannot is told:
//! nothing is left out in silence, and least of all where an object allows more than its policy.

mod cilium;
mod network;
mod objects;

use serde::Serialize;
use serde_saphyr::Spanned;

use super::diagnostic::Diagnostic;
use super::load::Source;
use super::model::{Port, Protocol, Spec, Workload};
use super::parse::{self, Parsed};
use super::prefix::Prefix;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `networking.k8s.io/v1` `NetworkPolicy`.
    NetworkPolicy,
    /// `cilium.io/v2` `CiliumNetworkPolicy` and `CiliumClusterwideNetworkPolicy`.
    Cilium,
}

/// Something that the objects do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The policy's name.
    pub policy: String,
    /// Where it stands, `file:line`.
    pub place: String,
    /// What, in words.
    pub what: String,
}

/// What came of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// YAML, one document for each policy that could be expressed at all; what a document does not say
    /// stands above it.
    pub text: String,
    /// All that the objects do not say.
    pub lost: Vec<Lost>,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The policies are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Diagnostic>),
    /// The objects cannot be written.
    #[error("the objects cannot be written: {0}")]
    Yaml(String),
}

/// Writes policies as objects of this kind.
///
/// # Errors
/// When they are wrong.
pub fn export(sources: &[Source], target: Target) -> Result<Exported, ExportError> {
    let findings = super::check(sources);
    if !findings.is_empty() {
        return Err(ExportError::Invalid(findings));
    }
    let mut exported = Exported::default();
    for source in sources {
        let documents =
            parse::parse(source).map_err(|finding| ExportError::Invalid(vec![*finding]))?;
        for parsed in &documents {
            one(parsed, target, &mut exported)?;
        }
    }
    Ok(exported)
}

fn one(parsed: &Parsed, target: Target, exported: &mut Exported) -> Result<(), ExportError> {
    let mut losses = Losses { parsed, all: Vec::new() };
    let spec = &parsed.document.spec;
    let text = match (skipped(spec.workload.as_ref()), target) {
        (Some(why), _) => {
            losses.whole(why);
            None
        }
        (None, Target::NetworkPolicy) => yaml(network::object(parsed, &mut losses))?,
        (None, Target::Cilium) => yaml(cilium::object(parsed, &mut losses))?,
    };
    if text.is_some() {
        losses.common(spec);
    }
    exported.text += "---\n";
    for lost in &losses.all {
        exported.text += &format!("# {}: {}\n", lost.place, lost.what);
    }
    exported.text += text.as_deref().unwrap_or_default();
    exported.lost.extend(losses.all);
    Ok(())
}

fn yaml<T: Serialize>(object: Option<T>) -> Result<Option<String>, ExportError> {
    let text = object.map(|object| serde_saphyr::to_string(&object)).transpose();
    text.map_err(|error| ExportError::Yaml(error.to_string()))
}

/// Why a workload is none of Kubernetes.
fn skipped(workload: Option<&Spanned<Workload>>) -> Option<&'static str> {
    let workload = &workload?.value;
    if workload.systemd_unit.is_some() {
        return Some("left out: Kubernetes has no objects for systemd units");
    }
    workload.cgroup.is_some().then_some("left out: Kubernetes has no objects for cgroups")
}

/// Takes down what is lost of one policy.
struct Losses<'a> {
    parsed: &'a Parsed,
    all: Vec<Lost>,
}

impl Losses<'_> {
    fn at<T>(&mut self, place: &Spanned<T>, what: impl Into<String>) {
        let document = &self.parsed.document;
        self.all.push(Lost {
            policy: document.metadata.name.value.clone(),
            place: format!("{}:{}", self.parsed.file, place.referenced.line()),
            what: what.into(),
        });
    }

    /// About the policy as a whole.
    fn whole(&mut self, what: impl Into<String>) {
        let parsed = self.parsed;
        self.at(&parsed.document.metadata.name, what);
    }

    /// What neither kind of object can say.
    fn common(&mut self, spec: &Spec) {
        use super::model::{EncryptedDns, PolicyMode, Unknown};
        if let Some(mode) = spec.mode.as_ref().filter(|mode| mode.value == PolicyMode::Audit) {
            self.at(
                mode,
                "mode: audit cannot be said: the object is enforced as soon as it is applied",
            );
        }
        if let Some(stratum) = &spec.stratum {
            self.at(stratum, "stratum cannot be said: mining is not looked for");
        }
        let unknown = spec.unknown_workloads.as_ref();
        if let Some(unknown) = unknown.filter(|unknown| unknown.value == Unknown::Closed) {
            self.at(unknown, "unknownWorkloads: closed cannot be said");
        }
        let encrypted = spec.encrypted_dns.as_ref();
        if let Some(encrypted) = encrypted.filter(|said| said.value == EncryptedDns::Deny) {
            self.at(
                encrypted,
                "encryptedDNS: deny cannot be said: deny port 853 and the resolvers you know of",
            );
        }
        if let Some(expires) = &spec.expires {
            self.at(expires, "expires cannot be said: the object stays until it is deleted");
        }
    }
}

/// Prefixes and their exceptions: each exception goes to the prefixes that it lies in.
fn blocks(cidrs: &[Spanned<String>], except: &[Spanned<String>]) -> Vec<(String, Vec<String>)> {
    let parse = |text: &Spanned<String>| Prefix::parse(&text.value).ok();
    let holes: Vec<Prefix> = except.iter().filter_map(parse).collect();
    let of = |cidr: &Spanned<String>| {
        let prefix = parse(cidr)?;
        let within = holes.iter().filter(|hole| super::rule::reaches(prefix, **hole));
        // All of it is excepted: nothing is left.
        let is_gone = holes.iter().any(|hole| super::rule::reaches(*hole, prefix));
        let within = within.map(ToString::to_string).collect();
        (!is_gone).then(|| (prefix.to_string(), within))
    };
    cidrs.iter().filter_map(of).collect()
}

/// Ports of a protocol as the objects have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports {
    protocol: &'static str,
    /// `None` is every port.
    first: Option<u16>,
    last: Option<u16>,
}

/// What a rule's ports come to.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Everything, whatever the protocol.
    Everything,
    /// These.
    Ports(Vec<Ports>),
    /// Nothing that can be said.
    Nothing,
}

/// The ports of a rule; `any` are the names of what `ANY` with a port stands for.
fn ports(written: Option<&[Port]>, any: &[&'static str], losses: &mut Losses<'_>) -> Said {
    let Some(written) = written else { return Said::Everything };
    let mut said = Vec::new();
    for port in written {
        let (first, last) = (port.port.as_ref(), port.end_port.as_ref());
        let protocol = port.protocol.as_ref();
        let names: &[&'static str] = match protocol.map_or(Protocol::Tcp, |it| it.value) {
            Protocol::Any if first.is_none() => return Said::Everything,
            Protocol::Any => any,
            Protocol::Tcp => &["TCP"],
            Protocol::Udp => &["UDP"],
            Protocol::Sctp => &["SCTP"],
            Protocol::UdpLite => &[],
            Protocol::Icmp => &[],
        };
        if let (true, Some(protocol)) = (names.is_empty(), protocol) {
            let word = super::compare::port(port);
            losses.at(protocol, format!("{word} cannot be said and is left out of its rule"));
        }
        said.extend(names.iter().map(|&protocol| Ports {
            protocol,
            first: first.map(|first| first.value),
            last: last.map(|last| last.value),
        }));
    }
    if said.is_empty() { Said::Nothing } else { Said::Ports(said) }
}

#[cfg(test)]
mod tests;
