//! Dialects as data: readable files to the automaton that the kernel walks.
//!
//! A file (`sentinel/signatures/*.toml`, or a user's own) defines *tokens*, each a pattern for a
//! string in a role, and *rules*, each a set of tokens that together make a verdict. [`compile`]
//! turns them into one dense automaton over the lexer's symbols and a table of rules, laid out as
//! [`sentinel_common::signature::Signatures`], and a [`Catalogue`] that gives the numbers their
//! names back.
//!
//! ```text
//! file -> role, pattern -> automaton -> minimise -> table -> Signatures
//!     \-> rules ---------------------------------------------/      \-> Catalogue
//! ```

mod automaton;
mod catalogue;
mod error;
mod file;
mod framing;
mod minimise;
mod pattern;
pub mod reading;
mod role;
mod rules;
pub(crate) mod suggest;
mod table;
#[cfg(test)]
mod tests;

pub use catalogue::{Catalogue, RuleInfo, Stats};
pub use error::SignatureError;
use sentinel_common::signature::Signatures;

/// The files that are part of this program: name and text. Of two rules that ask for as many tokens
/// the first names a finding, so what is general comes last.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("iron-fish.toml", include_str!("../../signatures/iron-fish.toml")),
    ("kaspa.toml", include_str!("../../signatures/kaspa.toml")),
    ("coins-v1.toml", include_str!("../../signatures/coins-v1.toml")),
    ("equihash.toml", include_str!("../../signatures/equihash.toml")),
    ("ergo.toml", include_str!("../../signatures/ergo.toml")),
    ("beam.toml", include_str!("../../signatures/beam.toml")),
    ("grin.toml", include_str!("../../signatures/grin.toml")),
    ("browser.toml", include_str!("../../signatures/browser.toml")),
    ("node.toml", include_str!("../../signatures/node.toml")),
    ("ethereum.toml", include_str!("../../signatures/ethereum.toml")),
    ("monero.toml", include_str!("../../signatures/monero.toml")),
    ("bitcoin-v1.toml", include_str!("../../signatures/bitcoin-v1.toml")),
];

/// A compiled set: what the kernel gets, and what its numbers mean.
pub struct Compiled {
    /// The map value.
    pub signatures: Box<Signatures>,
    /// Names and figures.
    pub catalogue: Catalogue,
}

/// Compiles the built-in files.
///
/// # Errors
/// As [`compile`]; a test keeps that from happening.
pub fn embedded() -> Result<Compiled, SignatureError> {
    compile(EMBEDDED)
}

/// Compiles these files, each a name for messages and its text, into one set.
///
/// # Errors
/// The first thing that is wrong: a file that is not understood, a name that is not defined, a
/// pattern that no automaton can read, or more of something than the datapath has room for.
pub fn compile(files: &[(&str, &str)]) -> Result<Compiled, SignatureError> {
    let parsed =
        files.iter().map(|(name, text)| file::parse(name, text)).collect::<Result<Vec<_>, _>>()?;
    let resolved = rules::resolve(&parsed)?;
    let machine = minimise::minimise(&automaton::build(&resolved.patterns)?);
    let (signatures, classes) = table::lay_out(&machine, &resolved.rules)?;
    let stats = Stats {
        states: machine.states(),
        classes,
        tokens: resolved.patterns.len(),
        rules: resolved.rules.len(),
        dialects: resolved.dialects.len(),
    };
    let catalogue = Catalogue::new(resolved, stats);
    Ok(Compiled { signatures, catalogue })
}
