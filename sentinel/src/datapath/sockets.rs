//! What the kernel keeps about single sockets, from userspace.

use std::io;
use std::os::fd::BorrowedFd;

use aya::maps::{Array, Map, MapData, MapError, SkStorage};
use sentinel_common::flow::Flow;
use sentinel_common::names::{NAME_SLOTS, NameSlot};
use sentinel_common::segment::Source;

use super::{DatapathError, ServerName};

/// `BPF_NOEXIST`: what a program has written since stays.
const NO_EXIST: u64 = 1;

/// Gives a socket its state; `false` when it has some.
pub(super) fn insert(
    mut flows: SkStorage<&mut MapData, Flow>,
    socket: BorrowedFd<'_>,
    flow: &Flow,
) -> Result<bool, DatapathError> {
    match flows.insert(&socket, flow, NO_EXIST) {
        Ok(()) => Ok(true),
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == io::ErrorKind::AlreadyExists =>
        {
            Ok(false)
        }
        Err(error) => Err(DatapathError::map("FLOWS", "a socket's state", &error)),
    }
}

/// Whom a socket's TLS handshake asked for.
pub(super) fn server_name(names: &Map, cookie: u64) -> Result<Option<ServerName>, DatapathError> {
    let names: Array<_, NameSlot> = Array::try_from(names)
        .map_err(|error| DatapathError::map("NAMES", "to be opened", &error))?;
    let slot = u32::try_from(cookie % NAME_SLOTS as u64).unwrap_or_default();
    let slot =
        names.get(&slot, 0).map_err(|error| DatapathError::map("NAMES", "a read", &error))?;
    if slot.cookie == cookie && slot.source == Source::Nameless as u32 {
        return Ok(Some(ServerName::Nobody));
    }
    if slot.cookie != cookie || slot.source != Source::Tls as u32 {
        return Ok(None);
    }
    let len = usize::try_from(slot.len).unwrap_or(usize::MAX);
    let name = slot.name.get(..len).unwrap_or_default();
    let named = || ServerName::Named(String::from_utf8_lossy(name).into_owned());
    Ok((!name.is_empty()).then(named))
}
