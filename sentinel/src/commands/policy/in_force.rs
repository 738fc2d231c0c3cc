//! The policies that a question is about: files that were named, or those of the running agent.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use sentinel_common::verdict::Mode;
use serde_json::Value;
use time::OffsetDateTime;

use super::Refusal;
use crate::cli::ExplainArgs;
use crate::config::{Config, ConfigFile, EnforcementMode};
use crate::policy::{self, PolicySet, Source};
use crate::remembered::Remembered;
use crate::status;

/// Policies, and the most that is done about what they say.
pub(super) struct InForce {
    pub(super) set: PolicySet,
    pub(super) cap: Mode,
    /// What a user should know, in sentences.
    pub(super) notes: Vec<String>,
}

pub(super) fn of(arguments: &ExplainArgs) -> Result<InForce, Refusal> {
    let mut notes = Vec::new();
    let peers = Remembered::peers(&arguments.state_dir).read();
    let mut objects: Vec<Source> = Vec::new();
    let (paths, cap) = if let Some(path) = &arguments.config {
        let file = ConfigFile::read(path).map_err(Refusal::usage)?;
        let typed = ConfigFile { policies: arguments.policies.clone(), ..ConfigFile::default() };
        let config = Config::new(typed, file);
        (config.policies, config.mode)
    } else if !arguments.policies.is_empty() {
        (arguments.policies.clone(), Mode::Enforce)
    } else {
        let (paths, cap, told) = agents(arguments, &mut notes)?;
        objects = told;
        (paths, cap)
    };
    let cap = match arguments.mode {
        Some(EnforcementMode::Enforce) => Mode::Enforce,
        Some(EnforcementMode::Audit) => Mode::Audit,
        None => cap,
    };
    let mut sources = policy::load(&paths).map_err(Refusal::usage)?;
    sources.append(&mut objects);
    let now = OffsetDateTime::from(SystemTime::now());
    let set = policy::compile_among(&sources, now, &peers)
        .map_err(|findings| Refusal::findings(&findings))?;
    if set.asks_for_peers() && peers.peers.is_empty() {
        let note = "toWorkloads means nobody yet: no agent here has told of any pod";
        notes.push(note.to_owned());
    }
    for ended in &set.expired {
        notes.push(format!("the policy {ended} has ended and says nothing"));
    }
    Ok(InForce { set, cap, notes })
}

/// The running agent's files and mode, and its policies that are objects.
fn agents(
    arguments: &ExplainArgs,
    notes: &mut Vec<String>,
) -> Result<(Vec<PathBuf>, Mode, Vec<Source>), Refusal> {
    let status = status::fetch(&arguments.state_dir).map_err(|error| {
        Refusal::failed(format!("{error}; or name policies with --policy or --config"))
    })?;
    if let Some(error) = status.get("policy_error").and_then(Value::as_str) {
        notes.push(format!(
            "the agent refused the files as they are now ({error}): older policies are in force"
        ));
    }
    // Paths are as they were given to the agent, from the folder that it was started in.
    let pid = status.get("pid").and_then(Value::as_u64).unwrap_or_default();
    let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let paths = status.get("policies").and_then(Value::as_array).into_iter().flatten();
    let paths = paths.filter_map(Value::as_str).map(|path| folder.join(path)).collect();
    let is_audit = status.get("mode").and_then(Value::as_str) == Some(Mode::Audit.label());
    let asks = status.get("kubernetes").is_some_and(|told| !told.is_null());
    let objects = asks.then(|| Remembered::objects(&arguments.state_dir).read());
    let mode = if is_audit { Mode::Audit } else { Mode::Enforce };
    Ok((paths, mode, objects.unwrap_or_default()))
}
