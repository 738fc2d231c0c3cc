//! Policies for tests that speak to the kernel without an agent, and policies at random with what
//! their author says they mean.

mod naive;
mod random;

use std::sync::Arc;

use anyhow::{Result, anyhow};
use sentinel::datapath::PolicyImage;
use sentinel::policy::{Diagnostic, PolicySet, Source};
use sentinel_common::config::Modes;
use time::OffsetDateTime;

pub use naive::{Expected, expected};
pub use random::{Asked, Written, flow, policies, text};

/// Compiles policies that are written in one text.
///
/// # Errors
/// What is wrong with them.
pub fn compile(text: String) -> Result<PolicySet> {
    let sources = [Source { name: "p.yaml".to_owned(), text }];
    sentinel::policy::compile(&sources, OffsetDateTime::UNIX_EPOCH).map_err(|findings| {
        let lines: Vec<String> = findings.iter().map(Diagnostic::to_string).collect();
        anyhow!("{}", lines.join("\n"))
    })
}

/// A policy under enforcement for the whole node; `spec` is what stands beside its mode.
///
/// # Errors
/// What is wrong with it.
pub fn node_policy(modes: Modes, spec: &str) -> Result<Arc<PolicyImage>> {
    let text = format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {{name: node}}\n\
         spec: {{mode: enforce, {spec}}}\n"
    );
    Ok(Arc::new(PolicyImage::of_node(modes, &compile(text)?)))
}
