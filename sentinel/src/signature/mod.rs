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
mod benign;
mod budget;
mod catalogue;
mod error;
mod file;
mod framing;
pub mod full;
mod load;
mod minimise;
mod pattern;
pub mod reading;
mod role;
mod rules;
mod sets;
pub(crate) mod suggest;
mod table;
#[cfg(test)]
mod tests;

pub use budget::{Bound, grouped};
pub use catalogue::{Catalogue, RuleInfo, Stats};
pub use error::{Place, SignatureError};
pub use load::{LoadError, Source, is_signature_file, load};
use sentinel_common::signature::Signatures;
pub use sets::Sets;

/// The files that are part of this program: name and text. Of two rules that ask for as many tokens
/// the first names a finding, so what is general comes last.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("iron-fish.toml", include_str!("../../signatures/iron-fish.toml")),
    ("kaspa.toml", include_str!("../../signatures/kaspa.toml")),
    ("coins-v1.toml", include_str!("../../signatures/coins-v1.toml")),
    ("equihash.toml", include_str!("../../signatures/equihash.toml")),
    ("ergo.toml", include_str!("../../signatures/ergo.toml")),
    ("beam.toml", include_str!("../../signatures/beam.toml")),
    ("duino-coin.toml", include_str!("../../signatures/duino-coin.toml")),
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

impl std::fmt::Debug for Compiled {
    /// Without the tables: a megabyte of cells explains nothing.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Compiled").field("catalogue", &self.catalogue).finish_non_exhaustive()
    }
}

/// Compiles the built-in files.
///
/// # Errors
/// As [`compile`]; a test keeps that from happening.
pub fn embedded() -> Result<Compiled, SignatureError> {
    compile(EMBEDDED)
}

/// A number that two sets share only if their files say the same (FNV-1a, 64 bits).
#[must_use]
pub fn fingerprint(files: &[(&str, &str)]) -> u64 {
    // A byte that no text has stands between two files.
    let bytes = files.iter().flat_map(|(_, text)| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The files of a set: the built-in ones, if `built_in` says so, then a user's.
#[must_use]
pub fn files(users: &[Source], built_in: bool) -> Vec<(&str, &str)> {
    let mut files = if built_in { EMBEDDED.to_vec() } else { Vec::new() };
    files.extend(users.iter().map(|user| (user.name.as_str(), user.text.as_str())));
    files
}

/// Compiles a user's files together with the built-in ones, if `built_in` says so, and holds them to
/// honest traffic.
///
/// # Errors
/// As [`compile`], with who is to blame when a bound is exceeded; and a rule that fires on honest
/// traffic.
pub fn assemble(users: &[Source], built_in: bool) -> Result<Compiled, SignatureError> {
    let files = files(users, built_in);
    if files.is_empty() {
        return Err(SignatureError::Nothing);
    }
    let set = compile(&files).map_err(|error| budget::blame(error, users, built_in))?;
    benign::check(&set)?;
    Ok(set)
}

/// As [`assemble`], with everything that is wrong with each file by itself.
///
/// # Errors
/// At most one finding per file, or one about all of them together.
pub fn check(users: &[Source], built_in: bool) -> Result<Compiled, Vec<SignatureError>> {
    let alone = |user: &Source| {
        let parsed = file::parse(&user.name, &user.text);
        parsed.and_then(|file| rules::resolve(&[file]).map(drop)).err()
    };
    let findings: Vec<SignatureError> = users.iter().filter_map(alone).collect();
    if findings.is_empty() {
        assemble(users, built_in).map_err(|error| vec![error])
    } else {
        Err(findings)
    }
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
    let catalogue = Catalogue::new(resolved, stats, fingerprint(files));
    Ok(Compiled { signatures, catalogue })
}
