//! Host names of a feed: what is one, and what would mean too much.

use sentinel_common::names::{MAX_LABELS, MAX_NAME};

use super::entry::Refusal;

/// Characters of a label (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// A domain as the datapath compares it: lower-case, dotted, no dot at either end. `*.` in front is
/// taken off, since a domain means everything below it anyway.
pub(super) fn domain(text: &str) -> Result<Box<str>, Refusal> {
    let text = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let text = text.strip_suffix('.').unwrap_or(text);
    if !text.is_ascii() {
        return Err(Refusal::NotAscii);
    }
    if text.len() > MAX_NAME {
        return Err(Refusal::LongName);
    }
    let mut labels = 0;
    let mut last = "";
    for label in text.split('.') {
        if !is_label(label) {
            return Err(Refusal::NoName);
        }
        labels += 1;
        last = label;
    }
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::NoName);
    }
    if labels > MAX_LABELS {
        return Err(Refusal::ManyLabels);
    }
    let name = text.to_ascii_lowercase().into_boxed_str();
    if psl::domain(name.as_bytes()).is_none() {
        return Err(Refusal::PublicSuffix);
    }
    Ok(name)
}

/// Letters, digits, hyphens inside, and the underscore that many name servers know.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The host of `scheme://user@host:port/path`, of `host:port`, or of a host alone.
pub(super) fn of(text: &str) -> Result<&str, Refusal> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or(rest);
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    if let Some(inner) = place.strip_prefix('[') {
        let (host, port) = inner.split_once(']').ok_or(Refusal::NoName)?;
        return port.is_empty().then_some(host).map_or_else(|| with_port(host, port), Ok);
    }
    match place.rsplit_once(':') {
        Some((host, port)) => with_port(host, port),
        None => Ok(place),
    }
}

fn with_port<'a>(host: &'a str, port: &str) -> Result<&'a str, Refusal> {
    let port = port.strip_prefix(':').unwrap_or(port);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0);
    if is_port { Ok(host) } else { Err(Refusal::NoPort) }
}
