//! Policies for tests that speak to the kernel without an agent.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use sentinel::datapath::PolicyImage;
use sentinel::policy::{Diagnostic, Source, compile};
use sentinel_common::config::Modes;
use time::OffsetDateTime;

/// A policy under enforcement for the whole node; `spec` is what stands beside its mode.
///
/// # Errors
/// What is wrong with it.
pub fn node_policy(modes: Modes, spec: &str) -> Result<Arc<PolicyImage>> {
    let text = format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {{name: node}}\n\
         spec: {{mode: enforce, {spec}}}\n"
    );
    let sources = [Source { name: "node.yaml".to_owned(), text }];
    let set = compile(&sources, OffsetDateTime::UNIX_EPOCH).map_err(|findings| {
        let lines: Vec<String> = findings.iter().map(Diagnostic::to_string).collect();
        anyhow!("{}", lines.join("\n"))
    })?;
    Ok(Arc::new(PolicyImage::of_node(modes, &set)))
}
