//! What can be wrong with signature files.

/// Why a set of signature files was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The file is not TOML, or not in the shape of a signature file.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// The file's name as given.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong, with a suggestion where there is one.
        message: String,
    },
    /// A token's or rule's definition makes no sense.
    #[error("{file}: {kind} \"{name}\": {message}")]
    Definition {
        /// The file's name.
        file: String,
        /// `token` or `rule`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A rule names a token that its file does not define.
    #[error(
        "{file}: rule \"{rule}\" asks for the token \"{token}\", which this file does not define{hint}"
    )]
    UnknownToken {
        /// The file's name.
        file: String,
        /// The rule.
        rule: String,
        /// The token it names.
        token: String,
        /// Empty, or what may have been meant.
        hint: String,
    },
    /// More of something than the datapath has room for.
    #[error(
        "the signature files need {needed} {what}, the datapath has room for {room}; drop a file or simplify a pattern"
    )]
    TooMany {
        /// Tokens, rules, states or symbol classes.
        what: &'static str,
        /// How many the files come to; where counting stopped early, how many at least.
        needed: usize,
        /// The bound from [`sentinel_common::limits`].
        room: usize,
    },
    /// The automaton could not be built.
    #[error("the signature patterns make no automaton: {message}")]
    Automaton {
        /// What the builder said.
        message: String,
    },
}

impl SignatureError {
    pub(super) fn definition(
        file: &str,
        kind: &'static str,
        name: &str,
        message: impl Into<String>,
    ) -> Self {
        let (file, name) = (file.to_owned(), name.to_owned());
        Self::Definition { file, kind, name, message: message.into() }
    }

    /// Fails when `needed` is above `room`.
    pub(super) fn check(what: &'static str, needed: usize, room: usize) -> Result<(), Self> {
        if needed > room { Err(Self::TooMany { what, needed, room }) } else { Ok(()) }
    }
}
