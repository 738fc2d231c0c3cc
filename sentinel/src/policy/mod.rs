//! The policy: files in the shape of a Kubernetes object to what the datapath looks destinations
//! and callers up in.
//!
//! ```text
//! load (the only I/O) -> parse (YAML, with places) -> compile -> library -> PolicySet
//! PolicySet + numbers -> image (what the kernel takes);  PolicySet + cgroups -> bindings
//! ```
//!
//! What several policies on one workload come to stands above [`sentinel_common::policy::Tally::decide`].

mod bind;
mod compare;
mod compile;
#[cfg(test)]
mod definition;
mod diagnostic;
mod encrypted_dns;
mod explain;
mod export;
mod fqdn;
mod judge;
mod library;
mod load;
mod model;
mod object;
mod parse;
mod prefix;
mod rule;
mod selector;
mod set;
mod spread;
#[cfg(test)]
mod tests;
mod trie;
mod workloads;

pub use bind::{Binder, Bound, Chooser};
pub use compare::{Change, Statement, compare};
pub use diagnostic::Diagnostic;
pub use explain::{Explanation, Opinion};
pub use export::{ExportError, Exported, Lost, Target, export};
pub use fqdn::Pattern;
pub use judge::{ByPolicy, Judge, Judged, Judgement};
pub use library::{Among, Library, Work, compile, compile_among};
pub use load::{LoadError, Source, load};
pub use object::{Fate, Object, ObjectKind, Objects};
pub use selector::{Pod, Selector, Subject};
pub use set::{Named, Numbers, Policy, PolicyName, PolicySet, RuleSource, Ways};
pub use trie::Trie;
pub use workloads::Meant;

/// What `sentinel policy check` prints: everything wrong with these files, or nothing.
#[must_use]
pub fn check(sources: &[Source]) -> Vec<Diagnostic> {
    compile(sources, time::OffsetDateTime::UNIX_EPOCH).err().unwrap_or_default()
}
