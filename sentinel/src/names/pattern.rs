//! A name as a policy writes it: one host, or everything below a domain.

use std::fmt;
use std::str::FromStr;

use sentinel_common::names::{MAX_LABELS, MAX_NAME};

/// Bytes of a label (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// `api.example.com`, or `*.example.com` for all that is below `example.com`, at any depth, and not
/// `example.com` itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    name: String,
    is_suffix: bool,
}

/// Which addresses a pattern may open besides public ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opens {
    /// Those of private networks.
    pub private: bool,
    /// This host, its link and its cloud's metadata service.
    pub local: bool,
}

impl Opens {
    /// What either opens: the same pattern of several policies is one pattern.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { private: self.private || other.private, local: self.local || other.local }
    }
}

/// Why something is no pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing.
    #[error("a name is missing: write `api.example.com`, or `*.example.com` for all below it")]
    Empty,
    /// The wildcard is elsewhere than in front.
    #[error(
        "`{0}`: `*` stands for whole labels in front only, as in `*.example.com`; list other names one by one"
    )]
    Wildcard(String),
    /// A label is empty, too long, or has other characters.
    #[error(
        "`{name}`: \"{label}\" is no label of a name: 1 to 63 letters, digits, `-` and `_`; write international names in their `xn--` form"
    )]
    Label {
        /// The name.
        name: String,
        /// The label.
        label: String,
    },
    /// Longer than a name can be.
    #[error("`{0}` is longer than the {MAX_NAME} characters of a name: shorten it")]
    Long(String),
    /// The kernel does not look so deep.
    #[error(
        "`{0}`: the domain behind `*.` has more than {MAX_LABELS} labels: name the hosts below it one by one"
    )]
    Deep(String),
    /// An address, not a name.
    #[error("`{0}` is an address: put it under toCIDRs")]
    Address(String),
}

impl Pattern {
    /// The name, lower-case, without `*.` and without a dot at the end.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it stands for what is below the name, and not for the name.
    #[must_use]
    pub const fn is_suffix(&self) -> bool {
        self.is_suffix
    }

    /// Whether a name, lower-case and dotted, is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if !self.is_suffix {
            return name == self.name;
        }
        name.strip_suffix(&self.name).is_some_and(|front| front.ends_with('.') && front.len() > 1)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}{}", if self.is_suffix { "*." } else { "" }, self.name)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        let (is_suffix, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name.is_empty() {
            return Err(PatternError::Empty);
        }
        if name.contains('*') {
            return Err(PatternError::Wildcard(text.to_owned()));
        }
        if name.parse::<std::net::IpAddr>().is_ok() {
            return Err(PatternError::Address(text.to_owned()));
        }
        if name.len() > MAX_NAME {
            return Err(PatternError::Long(text.to_owned()));
        }
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &str| {
            !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(is_known)
        };
        if let Some(label) = name.split('.').find(|label| !is_label(label)) {
            return Err(PatternError::Label { name: text.to_owned(), label: label.to_owned() });
        }
        if is_suffix && name.split('.').count() > MAX_LABELS {
            return Err(PatternError::Deep(text.to_owned()));
        }
        Ok(Self { name, is_suffix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_itself_and_a_domain_is_what_is_below() {
        let host = pattern("Api.Example.COM.");
        assert_eq!(host.to_string(), "api.example.com");
        assert!(host.matches("api.example.com") && !host.matches("a.api.example.com"));
        let below = pattern("*.example.com");
        assert_eq!(below.to_string(), "*.example.com");
        assert!(below.matches("a.example.com") && below.matches("a.b.example.com"));
        for other in ["example.com", "notexample.com", ".example.com", "example.com.evil"] {
            assert!(!below.matches(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_mend() {
        for (text, wanted) in [
            ("", "missing"),
            ("*.", "missing"),
            ("*", "`*` stands for whole labels"),
            ("a.*.com", "`*` stands for whole labels"),
            ("a*.com", "`*` stands for whole labels"),
            ("a..com", "\"\" is no label"),
            ("größe.de", "`xn--` form"),
            ("a b.com", "is no label"),
            ("10.0.0.1", "toCIDRs"),
            ("2001:db8::1", "toCIDRs"),
            ("*.a.b.c.d.e.f.g", "one by one"),
        ] {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        let label = "a".repeat(64);
        assert!(label.parse::<Pattern>().unwrap_err().to_string().contains("1 to 63"));
        let long = vec!["a".repeat(60); 5].join(".");
        assert!(matches!(long.parse::<Pattern>(), Err(PatternError::Long(_))));
        assert!("a.b.c.d.e.f.g.h.i".parse::<Pattern>().is_ok(), "a host may be deep");
    }
}
