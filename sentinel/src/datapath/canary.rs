//! Connections of the agent's own that every policy refuses: if one is not, the programs do not judge,
//! whatever is attached and wherever. A cgroup that only looks like the root shows that way, and a map
//! that somebody else has written to.
//!
//! Two sockets are kept open and the programs told their cookies. Nothing of them is sent while all is
//! well; where it is not, an empty datagram to the discard port of this host.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use aya::maps::Array;
use rustix::io::Errno;
use rustix::net::sockopt::socket_cookie;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, connect, sendto, socket_with,
};

use super::{DatapathError, Kernel, OpenError, platform};
use crate::event::hook::{Defect, Finding, Inspection};

/// The discard service (RFC 863).
const DISCARD: u16 = 9;

/// Over IPv4 and, where this host has it, IPv6.
pub(super) struct Canary {
    v4: OwnedFd,
    v6: Option<OwnedFd>,
}

impl Canary {
    fn hatch() -> io::Result<Self> {
        let socket = |family| socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
        Ok(Self { v4: socket(AddressFamily::INET)?, v6: socket(AddressFamily::INET6).ok() })
    }

    fn cookies(&self) -> io::Result<[u64; 2]> {
        let v6 = self.v6.as_ref().map(socket_cookie).transpose()?;
        Ok([socket_cookie(&self.v4)?, v6.unwrap_or_default()])
    }

    /// The programs that let pass what they are to refuse.
    fn passes(&self) -> Vec<&'static str> {
        let v4 =
            Probe { socket: &self.v4, to: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DISCARD) };
        let mut hooks = vec![("connect4", v4.connects()), ("sendmsg4", v4.sends())];
        if let Some(socket) = &self.v6 {
            let v6 = Probe { socket, to: SocketAddr::new(Ipv6Addr::LOCALHOST.into(), DISCARD) };
            hooks.extend([("connect6", v6.connects()), ("sendmsg6", v6.sends())]);
        }
        hooks.into_iter().filter(|(_, passed)| *passed).map(|(hook, _)| hook).collect()
    }
}

struct Probe<'a> {
    socket: &'a OwnedFd,
    to: SocketAddr,
}

impl Probe<'_> {
    fn connects(&self) -> bool {
        passed(connect(self.socket, &self.to))
    }

    fn sends(&self) -> bool {
        passed(sendto(self.socket, &[], SendFlags::empty(), &self.to))
    }
}

/// The hook comes before the route is looked up: any answer but its own means that it has not refused. A
/// security module comes before the hook, and whom it stops (`EACCES`) no hook is asked about.
fn passed<T>(answer: rustix::io::Result<T>) -> bool {
    !matches!(answer, Err(Errno::PERM | Errno::ACCESS))
}

impl Kernel {
    /// Lets the canary out, where the agent is itself in the cgroup that it watches.
    pub(super) fn hatch(&mut self, watched: &Path, root: &Path) -> Result<(), OpenError> {
        if !platform::own_cgroup(root).is_some_and(|own| own.starts_with(watched)) {
            tracing::debug!("no canary: the agent is not in the cgroup that it watches");
            return Ok(());
        }
        let refused = |error: DatapathError| OpenError::refused("the canary", &error);
        let canary = Canary::hatch().map_err(|error| OpenError::refused("the canary", &error))?;
        let cookies = canary.cookies().map_err(|error| OpenError::refused("the canary", &error))?;
        let mut map: Array<_, [u64; 2]> = self.map("CANARIES").map_err(refused)?;
        let written = map.set(0, cookies, 0);
        written.map_err(|error| refused(DatapathError::map("CANARIES", "the cookies", &error)))?;
        self.canary = Some(canary);
        Ok(())
    }

    /// Asks whether it is refused, and writes what is in force once more where it is not.
    pub(super) fn ask_canary(&mut self, found: &mut Inspection) {
        let passed = self.canary.as_ref().map_or_else(Vec::new, Canary::passes);
        self.inspect_config(found);
        if passed.is_empty() {
            return;
        }
        let still = self.canary.as_ref().map_or_else(Vec::new, Canary::passes);
        for program in passed {
            let defect = Defect { program, finding: Finding::NotRefused };
            let why = "a connection that every policy refuses was let pass; restart the agent, and look who else writes to its maps";
            found.mended(defect, if still.contains(&program) { Err(why) } else { Ok(()) });
        }
    }
}
