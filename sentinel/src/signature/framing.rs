//! What every set knows besides its rules: the lines of an HTTP head that say what follows it.
//!
//! They take the first bits, [`sentinel_common::signature::token`], whatever files there are.

use regex_syntax::hir::Hir;
use sentinel_common::signature::token;

use super::pattern;
use super::role::Role;

/// Name, role and expression of each, in the order of their bits.
const TOKENS: [(&str, &str, &str); token::COUNT] = [
    // RFC 9112 sections 3 and 4: a request ends in its version, an answer begins with its status.
    ("http", "request", r".*http/1\.[01]|[1-5][0-9][0-9].*"),
    ("upgrade-websocket", "head", "upgrade:websocket.*"),
    ("transfer-chunked", "head", "transfer-encoding:(.*,)?chunked"),
];

/// A name and a pattern for each.
pub(super) fn tokens() -> Result<Vec<(String, Hir)>, String> {
    let one = |(name, role, expression): (&str, &str, &str)| {
        Ok((name.to_owned(), Role::parse(role)?.around(pattern::expression(expression)?)))
    };
    TOKENS.into_iter().map(one).collect()
}
