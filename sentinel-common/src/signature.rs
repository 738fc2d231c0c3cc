//! The compiled signature set: what userspace writes into a map and the reader walks.
//!
//! Built in userspace from `sentinel/signatures/*.toml`; this is only its layout. An automaton over
//! the lexer's symbols marks *tokens* (a string in a role was seen); a *rule* names the tokens that
//! together, in one message or in both directions, make a verdict.

use crate::limits::{MAX_RULES, MAX_STATES, SYMBOL_CLASSES};

/// No rule: returned where a rule's index would stand.
pub const NO_RULE: u32 = u32::MAX;
/// Bit of a cell: its state stands for tokens. A mask, not a comparison with a number that the
/// verifier does not know: that would split its view of the loop in two.
pub const ACCEPTS: u16 = 0x8000;
/// Cells of the automaton's table.
pub const CELLS: usize = MAX_STATES * SYMBOL_CLASSES;

/// Tokens that every set has: what the lines of an HTTP head say of the bytes behind it.
pub mod token {
    /// The first line is HTTP's.
    pub const HTTP: u64 = 1 << 0;
    /// `Upgrade: websocket`
    pub const WEBSOCKET: u64 = 1 << 1;
    /// `Transfer-Encoding: chunked`
    pub const CHUNKED: u64 = 1 << 2;
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// What must have been said for a verdict. All three sets must be there.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Tokens of the message under way.
    pub message: u64,
    /// Tokens this side said at any time before or now.
    pub said: u64,
    /// Tokens the other side said.
    pub peer: u64,
    /// The dialect's number, for the event.
    pub dialect: u32,
    /// 1 when the rule is in use: an all-zero rule would match everything.
    pub used: u32,
}

impl Rule {
    /// A slot that holds no rule.
    pub const UNUSED: Self = Self { message: 0, said: 0, peer: 0, dialect: 0, used: 0 };

    /// Whether these tokens satisfy the rule.
    #[inline(always)]
    #[must_use]
    pub const fn holds(&self, message: u64, said: u64, peer: u64) -> bool {
        let missing = (self.message & !message) | (self.said & !said) | (self.peer & !peer);
        missing == 0 && self.used == 1
    }
}

/// The whole set, as one map value: replaced as one, so no packet is judged by half of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Signatures {
    /// Rules in use, at the front of `rules`.
    pub rules_used: u32,
    /// Keeps what follows aligned; zero.
    pub reserved: u32,
    /// Class of every symbol; 0 changes nothing.
    pub symbol_class: [u8; 256],
    /// Tokens that a state stands for.
    pub accepts: [u64; MAX_STATES],
    /// Rules, most specific first.
    pub rules: [Rule; MAX_RULES],
    /// `next[state * SYMBOL_CLASSES + class]`; [`ACCEPTS`] is set when the state stands for tokens.
    pub next: [u16; CELLS],
}

impl Signatures {
    /// The first rule that these tokens satisfy, or [`NO_RULE`].
    #[inline(always)]
    #[must_use]
    pub fn rule_matching(&self, message: u64, said: u64, peer: u64) -> u32 {
        for (index, rule) in self.rules.iter().enumerate() {
            let index = index as u32;
            if index >= self.rules_used {
                break;
            }
            if rule.holds(message, said, peer) {
                return index;
            }
        }
        NO_RULE
    }
}

const _: () = {
    assert!(MAX_STATES <= ACCEPTS as usize);
    assert!(size_of::<Rule>() == 32);
    assert!(size_of::<Signatures>() == 8 + 256 + MAX_STATES * 8 + MAX_RULES * 32 + CELLS * 2);
};
