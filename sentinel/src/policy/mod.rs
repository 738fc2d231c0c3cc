//! The policy: files in the shape of a Kubernetes object to what the datapath looks destinations
//! up in.
//!
//! ```text
//! load (the only I/O) -> parse (YAML, with places) -> compile -> Policy { modes, Allowlist }
//! ```
//!
//! A policy only ever allows: a destination is allowed when any rule of any policy names it, its
//! port and its protocol. So policies can be merged in any order, and one can be taken away without
//! reading the others.

mod allowlist;
mod compile;
mod diagnostic;
mod judge;
mod load;
mod model;
mod parse;
mod prefix;
#[cfg(test)]
mod tests;

pub use allowlist::{Allowlist, RuleSource};
pub use diagnostic::Diagnostic;
pub use judge::{ByAllowlist, Judge, Judgement};
pub use load::{LoadError, Source, load};
use sentinel_common::verdict::Mode;

/// What all files together say.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What becomes of a destination that no rule names; `Off` when no file has `egress`.
    pub egress: Mode,
    /// What becomes of a mining-pool message; `Enforce` when no file says.
    pub stratum: Mode,
    /// The destinations that rules name.
    pub allowlist: Allowlist,
}

/// Compiles these files into one policy for the whole node.
///
/// # Errors
/// Everything that is wrong, each with its place: at most one finding per file where the file is
/// not even understood, all of them otherwise.
pub fn compile(sources: &[Source]) -> Result<Policy, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    let mut documents = Vec::new();
    for source in sources {
        match parse::parse(source) {
            Ok(parsed) => documents.extend(parsed),
            Err(finding) => findings.push(*finding),
        }
    }
    let policy = compile::compile(&documents, &mut findings);
    if findings.is_empty() { Ok(policy) } else { Err(findings) }
}

/// What `sentinel policy check` prints: everything wrong with these files, or nothing.
#[must_use]
pub fn check(sources: &[Source]) -> Vec<Diagnostic> {
    compile(sources).err().unwrap_or_default()
}
