//! What a set may come to, and who used it up.
//!
//! # The plan when a table outgrows its map
//!
//! The kernel's tables have fixed sizes ([`sentinel_common::limits`]): an automaton of `MAX_STATES`
//! states by `SYMBOL_CLASSES` classes of symbols, `MAX_TOKENS` token bits, `MAX_RULES` rules. They
//! are sizes of the *type*, because the verifier must see every index masked to its table, so a set
//! cannot grow its map. What happens instead, in this order:
//!
//! 1. A set is compiled and measured before anything is told to the kernel. One state, class, token
//!    or rule too many refuses the whole set, with how many each file adds, and `sentinel run` does
//!    not start (exit 64); a running agent keeps the set that is in force, logs, counts
//!    (`sentinel_signature_load_failures_total`) and writes a journal line. A set is never cut down
//!    to what fits: half a set would look like a whole one.
//! 2. Whoever owns the files drops one, or asks for less: `sentinel policy check` prints what a set
//!    comes to, so this can be seen long before. Without the built-in dialects
//!    (`builtinSignatures: false`) a user's own have all the room.
//! 3. The built-in set stays below each bound by what users need for theirs: how far is written in
//!    a test of the host rung (`the_built_in_set_leaves_room`). When that fails, the bound is raised:
//!    the numbers in `limits` are the only place that has them, `CELLS` up to 2^23 costs memory only
//!    (the map is `SIGNATURE_SLOTS` times the table), states are bounded by the 15 bits of a cell.
//!    More than 64 tokens would mean a second word in each reader.
//!
//! Each border is tested: exactly full compiles and reads in the kernel too, one more is refused.

use std::fmt::Write as _;

use sentinel_common::limits::{MAX_RULES, MAX_STATES, MAX_TOKENS, SYMBOL_CLASSES};

use super::catalogue::Stats;
use super::error::SignatureError;
use super::load::Source;
use super::{automaton, compile, file, files, rules};

/// One of the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Tokens.
    Tokens,
    /// Rules, alternatives spread out.
    Rules,
    /// States of the automaton.
    States,
    /// Classes of symbols.
    Classes,
}

impl Bound {
    /// How many there may be.
    #[must_use]
    pub const fn room(self) -> usize {
        match self {
            Self::Tokens => MAX_TOKENS,
            Self::Rules => MAX_RULES,
            Self::States => MAX_STATES,
            Self::Classes => SYMBOL_CLASSES,
        }
    }

    /// What is counted, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Rules => "rules",
            Self::States => "automaton states",
            Self::Classes => "symbol classes",
        }
    }

    /// How many a set has.
    #[must_use]
    pub const fn of(self, stats: Stats) -> usize {
        match self {
            Self::Tokens => stats.tokens,
            Self::Rules => stats.rules,
            Self::States => stats.states,
            Self::Classes => stats.classes,
        }
    }

    /// Fails when there are more than fit.
    pub(super) fn check(self, needed: usize) -> Result<(), SignatureError> {
        if needed <= self.room() {
            return Ok(());
        }
        let (what, room) = (self.name(), grouped(self.room()));
        Err(SignatureError::TooMany {
            bound: self,
            count: needed,
            text: format!("{} {what}, the datapath has room for {room}", grouped(needed)),
            shares: String::new(),
        })
    }
}

/// A number with its thousands set apart.
#[must_use]
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same error, with who is to blame: a token that is too much alone, or how much each of these
/// files adds to the built-in ones.
pub(super) fn blame(error: SignatureError, users: &[Source], built_in: bool) -> SignatureError {
    let bound = match &error {
        SignatureError::TooMany { bound, .. } => *bound,
        SignatureError::Automaton { .. } => Bound::States,
        _ => return error,
    };
    if bound == Bound::States
        && let Some(token) = greedy_token(users)
    {
        return token;
    }
    let beside = files(&[], built_in);
    let Ok(base) = compile(&beside).map(|set| set.catalogue.stats()) else { return error };
    let mut clause = format!(": the built-in files come to {}", grouped(bound.of(base)));
    for user in users {
        let with_user = files(std::slice::from_ref(user), built_in);
        let adds = match compile(&with_user) {
            Ok(set) => grouped(bound.of(set.catalogue.stats()).saturating_sub(bound.of(base))),
            Err(SignatureError::TooMany { bound: other, count, .. }) if other == bound => {
                grouped(count.saturating_sub(bound.of(base)))
            }
            Err(_) => "too many to count".to_owned(),
        };
        // Writing to a string does not fail.
        let _ = write!(clause, ", {} adds {adds}", user.name);
    }
    match error {
        SignatureError::TooMany { bound, count, text, .. } => {
            SignatureError::TooMany { bound, count, text, shares: clause }
        }
        SignatureError::Automaton { message, .. } => {
            SignatureError::Automaton { message, shares: clause }
        }
        other => other,
    }
}

/// The first token of these files whose pattern is too much all alone.
fn greedy_token(users: &[Source]) -> Option<SignatureError> {
    for user in users {
        let parsed = [file::parse(&user.name, &user.text).ok()?];
        let resolved = rules::resolve(&parsed).ok()?;
        let named = resolved.patterns.iter().zip(&resolved.tokens).zip(&resolved.places);
        for ((pattern, name), place) in named {
            let why = match automaton::build(std::slice::from_ref(pattern)) {
                Ok(machine) => Bound::States
                    .check(machine.states())
                    .err()
                    .map(|_| format!("{} automaton states", grouped(machine.states()))),
                Err(SignatureError::Automaton { message, .. }) => Some(message),
                Err(_) => Some(format!("more than {} automaton states", grouped(MAX_STATES))),
            };
            if let Some(why) = why {
                return Some(SignatureError::Definition {
                    place: place.clone(),
                    kind: "token",
                    name: name.clone(),
                    message: format!(
                        "its pattern alone is too much for the datapath ({why}; there is room for {} states): use fewer counted repetitions, and no `.*` before one",
                        grouped(MAX_STATES)
                    ),
                });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 12, 999, 1_000, 4_097, 1_234_567].map(super::grouped);
        assert_eq!(texts, ["0", "12", "999", "1,000", "4,097", "1,234,567"]);
    }
}
