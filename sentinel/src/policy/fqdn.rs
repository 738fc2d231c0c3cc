//! Names of destinations: one name, or all below one.

use sentinel_common::names::{MAX_LABELS, MAX_NAME};

/// `api.example.com`, or `*.example.com`, which is everything below `example.com` and not that itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    domain: String,
    below: bool,
}

impl Pattern {
    /// Reads a name; the error is a message and a mend.
    ///
    /// # Errors
    /// When it is no host name, or has its star elsewhere than alone in front.
    pub fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let trimmed = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (domain, below) = match trimmed.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (trimmed.as_str(), false),
        };
        let refuse = |message: &str, help: &str| Err((message.to_owned(), Some(help.to_owned())));
        if domain.contains('*') {
            let message = format!("\"{text}\" has a star that is not alone in front");
            return refuse(&message, "write *.example.com for everything below example.com");
        }
        let labels: Vec<&str> = domain.split('.').collect();
        let is_label = |label: &&str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if domain.len() > MAX_NAME || !labels.iter().all(is_label) {
            let message = format!("\"{text}\" is no host name");
            return refuse(
                &message,
                "write it as it is asked for, in ASCII (RFC 5890): api.example.com",
            );
        }
        if below && labels.len() < 2 {
            let message = format!("\"{text}\" is everything below a top-level domain");
            return refuse(&message, "name the domain below it");
        }
        if below && labels.len() > MAX_LABELS {
            let message = format!("\"{text}\" has more than {MAX_LABELS} labels behind its star");
            return refuse(&message, "leave the first of them out");
        }
        Ok(Self { domain: domain.to_owned(), below })
    }

    /// Whether it means this name, lower-case and without a dot at its end.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match (self.below, name.strip_suffix(self.domain.as_str())) {
            (false, Some(rest)) => rest.is_empty(),
            (true, Some(rest)) => rest.len() > 1 && rest.ends_with('.'),
            (_, None) => false,
        }
    }

    /// The domain, without a star.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether everything below the domain is meant, and not the domain itself.
    #[must_use]
    pub const fn is_below(&self) -> bool {
        self.below
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(out, "{star}{}", self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_name_or_what_is_below_it() {
        let one = Pattern::parse("API.Example.com.").unwrap();
        assert!(one.matches("api.example.com") && !one.matches("x.api.example.com"));
        let all = Pattern::parse("*.example.com").unwrap();
        assert!(all.matches("a.example.com") && all.matches("a.b.example.com"));
        assert!(!all.matches("example.com") && !all.matches("badexample.com"));
        assert_eq!(
            (one.to_string(), all.to_string()),
            ("api.example.com".into(), "*.example.com".into())
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["", "a..b", "*.com", "*", "a.*.com", "x*.com", "-\u{e4}.de", "a b", "*.a.b.c.d.e.f.g"]
        {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
