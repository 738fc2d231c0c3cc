//! What can be wrong with signature files.

use std::fmt;

use super::budget::Bound;

/// Where in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name as given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// Of what every set knows, whatever files there are.
    pub(super) fn framing() -> Self {
        Self { file: "framing".to_owned(), line: 1, column: 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(out, "{file}:{line}:{column}")
    }
}

/// Why a set of signature files was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The file is not TOML, or not in the shape of a signature file.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong, with a suggestion where there is one.
        message: String,
    },
    /// A token's or rule's definition makes no sense.
    #[error("{place}: {kind} \"{name}\": {message}")]
    Definition {
        /// Where its name stands.
        place: Place,
        /// `token` or `rule`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A rule names a token that its file does not define.
    #[error(
        "{place}: rule \"{rule}\" asks for the token \"{token}\", which this file does not define{hint}"
    )]
    UnknownToken {
        /// Where it is asked for.
        place: Place,
        /// The rule.
        rule: String,
        /// The token it names.
        token: String,
        /// Empty, or what may have been meant.
        hint: String,
    },
    /// A rule would cut honest traffic.
    #[error(
        "{place}: rule \"{rule}\" fires on honest traffic ({sample}): `{line}`; ask for one more token that only a miner says"
    )]
    Benign {
        /// Where the rule's name stands.
        place: Place,
        /// The rule.
        rule: String,
        /// The sample's name.
        sample: String,
        /// The line that it fires on, shortened.
        line: String,
    },
    /// More of something than the datapath has room for.
    #[error("the signature files need {text}{shares}; drop a file or simplify a pattern")]
    TooMany {
        /// Of what.
        bound: Bound,
        /// How many the files come to; where counting stopped early, how many at least.
        count: usize,
        /// Both in words, and the bound.
        text: String,
        /// Empty, or a clause that says how many each file adds.
        shares: String,
    },
    /// No file at all.
    #[error(
        "no signatures are left: name a signature file, drop `builtinSignatures: false`, or write `stratum: off`"
    )]
    Nothing,
    /// The automaton could not be built.
    #[error(
        "the signature patterns make no automaton of bounded size ({message}){shares}; simplify a pattern: fewer counted repetitions, no `.*` before one"
    )]
    Automaton {
        /// What the builder said.
        message: String,
        /// Empty, or a clause that says what each file comes to.
        shares: String,
    },
}

impl SignatureError {
    /// Where it is, unless it is about all files together.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Syntax { place, .. }
            | Self::Definition { place, .. }
            | Self::UnknownToken { place, .. }
            | Self::Benign { place, .. } => Some(place),
            Self::TooMany { .. } | Self::Automaton { .. } | Self::Nothing => None,
        }
    }

    pub(super) fn automaton(message: impl fmt::Display) -> Self {
        Self::Automaton { message: message.to_string(), shares: String::new() }
    }
}
