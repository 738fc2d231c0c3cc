//! Bytes of the ring buffer to [`KernelEvent`]: the only place that reads a wire record.
//!
//! Every field is read at the offset that the contract's own type gives it, so the two cannot drift
//! apart. Nothing here can panic: a record of another version is an error with a name.

mod lookup;
pub mod process;
mod said;

use std::mem::offset_of;
use std::net::{Ipv6Addr, SocketAddr};

use sentinel_common::address::Address;
use sentinel_common::event::{Event, Hook, Kind};
use sentinel_common::flow::{Direction, Owner as WireOwner};
use sentinel_common::limits::{COMM, EXCERPT};
use sentinel_common::signature::NO_RULE;
use sentinel_common::verdict::{Reason, Verdict};

use crate::event::{KernelEvent, Owner, Said};
use crate::signature::Sets;
use crate::signature::reading::most_specific;

pub use lookup::{is_lookup, lookup};

/// Why a record could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a record has.
    #[error("the record has {0} bytes, {want} are a record", want = size_of::<Event>())]
    Short(usize),
    /// More bytes than a record has.
    #[error("the record has {0} bytes, {want} are a record", want = size_of::<Event>())]
    Long(usize),
    /// The kind is from another version.
    #[error("kind {0} is unknown")]
    Kind(u8),
    /// The verdict is from another version.
    #[error("verdict {0} is unknown")]
    Verdict(u8),
    /// The reason is from another version.
    #[error("reason {0} is unknown")]
    Reason(u8),
    /// The hook is from another version.
    #[error("hook {0} is unknown")]
    Hook(u8),
    /// The direction is neither of the two.
    #[error("direction {0} is unknown")]
    Direction(u8),
    /// The excerpt claims more bytes than it can hold.
    #[error("an excerpt of {0} bytes does not fit")]
    Excerpt(u16),
}

impl DecodeError {
    /// Every value of [`DecodeError::kind`].
    pub const KINDS: [&'static str; 8] =
        ["short", "long", "kind", "verdict", "reason", "hook", "direction", "excerpt"];

    /// The metric label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Short(_) => "short",
            Self::Long(_) => "long",
            Self::Kind(_) => "kind",
            Self::Verdict(_) => "verdict",
            Self::Reason(_) => "reason",
            Self::Hook(_) => "hook",
            Self::Direction(_) => "direction",
            Self::Excerpt(_) => "excerpt",
        }
    }
}

/// Reads one record.
///
/// # Errors
/// When it is not one record of this version.
pub fn decode(bytes: &[u8]) -> Result<KernelEvent, DecodeError> {
    let record = Record::new(bytes)?;
    let kind = record.u8(offset_of!(Event, kind));
    let kind = Kind::from_wire(kind).ok_or(DecodeError::Kind(kind))?;
    let verdict = record.u8(offset_of!(Event, verdict));
    let reason = record.u8(offset_of!(Event, reason));
    let hook = record.u8(offset_of!(Event, hook));
    Ok(KernelEvent {
        time: record.u64(offset_of!(Event, time)),
        cookie: record.u64(offset_of!(Event, cookie)),
        cgroup: record.u64(offset_of!(Event, cgroup)),
        tokens: record.u64(offset_of!(Event, tokens)),
        peer_tokens: record.u64(offset_of!(Event, peer_tokens)),
        owner: record.owner(offset_of!(Event, owner)),
        local: record.end(offset_of!(Event, local), offset_of!(Event, local_port)),
        remote: record.end(offset_of!(Event, remote), offset_of!(Event, remote_port)),
        rule: rule(kind, record.u32(offset_of!(Event, rule))),
        signatures: record.u32(offset_of!(Event, signatures)),
        generation: record.u32(offset_of!(Event, generation)),
        bytes: record.u32(offset_of!(Event, bytes)),
        kind,
        verdict: Verdict::from_wire(verdict).ok_or(DecodeError::Verdict(verdict))?,
        reason: Reason::from_wire(reason).ok_or(DecodeError::Reason(reason))?,
        hook: Hook::from_wire(hook).ok_or(DecodeError::Hook(hook))?,
        protocol: record.u8(offset_of!(Event, protocol)),
        direction: direction(record.u8(offset_of!(Event, direction)))?,
        name: name(kind, record.excerpt()?),
        passed: record.u32(offset_of!(Event, flags)) & Event::PASSED != 0,
        is_callers: record.u32(offset_of!(Event, flags)) & Event::CALLERS != 0,
        said: said(kind, record.excerpt()?),
        names: Vec::new(),
    })
}

/// A name is all that the excerpt of these kinds holds.
fn name(kind: Kind, excerpt: &[u8]) -> Option<String> {
    let has_name = matches!(kind, Kind::Dns | Kind::Tls) && !excerpt.is_empty();
    has_name.then(|| String::from_utf8_lossy(excerpt).to_ascii_lowercase())
}

fn said(kind: Kind, excerpt: &[u8]) -> Said {
    if matches!(kind, Kind::Dns | Kind::Tls) { Said::default() } else { said::read(excerpt) }
}

/// Reads one record and names its rule as exactly as the excerpt allows: the datapath stops at the
/// first rule that holds, and what came with the completing packet may fulfil a more specific one.
/// A set that is kept no more gives the number as it came.
///
/// # Errors
/// As [`decode`].
pub fn decode_and_name(bytes: &[u8], sets: &Sets) -> Result<KernelEvent, DecodeError> {
    let mut event = decode(bytes)?;
    if let (Kind::Stratum, Some(rule), Some(set)) =
        (event.kind, event.rule, sets.get(event.signatures))
    {
        let record = Record::new(bytes)?;
        event.rule = Some(most_specific(&set.signatures, rule, record.excerpt()?));
    }
    Ok(event)
}

/// The kinds that carry a rule say "none" in ways of their own.
const fn rule(kind: Kind, rule: u32) -> Option<u32> {
    match (kind, rule) {
        (Kind::Stratum, NO_RULE) | (Kind::Egress | Kind::Dns | Kind::Tls, 0 | NO_RULE) => None,
        (Kind::Listen | Kind::Connect, _) => None,
        (_, rule) => Some(rule),
    }
}

const fn direction(value: u8) -> Result<Direction, DecodeError> {
    match value {
        0 => Ok(Direction::Egress),
        1 => Ok(Direction::Ingress),
        other => Err(DecodeError::Direction(other)),
    }
}

/// A record whose length is that of [`Event`], so that every field of it is there.
struct Record<'a>(&'a [u8; size_of::<Event>()]);

impl<'a> Record<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes.try_into() {
            Ok(record) => Ok(Self(record)),
            Err(_) if bytes.len() < size_of::<Event>() => Err(DecodeError::Short(bytes.len())),
            Err(_) => Err(DecodeError::Long(bytes.len())),
        }
    }

    /// `N` bytes at an offset. Offsets come from `offset_of!`, so there always are as many; the
    /// zeros only keep this total.
    fn at<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.0.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    fn u8(&self, offset: usize) -> u8 {
        u8::from_ne_bytes(self.at(offset))
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_ne_bytes(self.at(offset))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.at(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.at(offset))
    }

    /// One end of the flow; `None` when neither address nor port is known.
    fn end(&self, address: usize, port: usize) -> Option<SocketAddr> {
        let address: Address = self.at(address);
        let port = self.u16(port);
        let ip = Ipv6Addr::from(address).to_canonical();
        let unknown = port == 0 && ip.is_unspecified();
        (!unknown).then(|| SocketAddr::new(ip, port))
    }

    fn owner(&self, base: usize) -> Option<Owner> {
        let tgid = self.u32(base + offset_of!(WireOwner, tgid));
        let comm: [u8; COMM] = self.at(base + offset_of!(WireOwner, comm));
        let comm = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        (tgid != 0).then(|| Owner {
            cgroup: self.u64(base + offset_of!(WireOwner, cgroup)),
            start_time: self.u64(base + offset_of!(WireOwner, start_time)),
            pid: tgid,
            uid: self.u32(base + offset_of!(WireOwner, uid)),
            comm: String::from_utf8_lossy(comm).into_owned(),
        })
    }

    fn excerpt(&self) -> Result<&[u8], DecodeError> {
        let used = self.u16(offset_of!(Event, excerpt_len));
        let start = offset_of!(Event, excerpt);
        let all = self.0.get(start..start + EXCERPT).unwrap_or_default();
        all.get(..usize::from(used)).ok_or(DecodeError::Excerpt(used))
    }
}

#[cfg(test)]
mod tests;
