//! Whom this host asks for addresses: the servers that may teach.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

/// Where servers are named. The second is what systemd-resolved itself asks: the first then names
/// only its stub at 127.0.0.53.
pub const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// Largest file that is read, bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The servers of these files and those of the configuration. A file that is not there names none.
#[must_use]
pub fn discover(files: &[PathBuf], configured: &[IpAddr]) -> BTreeSet<IpAddr> {
    let named = files.iter().flat_map(|file| parse(&read(file)));
    named.chain(configured.iter().copied().map(canonical)).collect()
}

fn read(file: &Path) -> String {
    let is_small = fs::metadata(file).is_ok_and(|metadata| metadata.len() <= MAX_FILE);
    let text = if is_small { fs::read_to_string(file) } else { Ok(String::new()) };
    text.unwrap_or_else(|error| {
        tracing::debug!("{} names no resolvers: {error}", file.display());
        String::new()
    })
}

/// The servers in a `resolv.conf` (resolv.conf(5)): lines of `nameserver` and an address, which may
/// carry a zone. Other lines are none of ours.
#[must_use]
pub fn parse(text: &str) -> BTreeSet<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        if words.next()? != "nameserver" {
            return None;
        }
        let address = words.next()?;
        let address = address.split_once('%').map_or(address, |(address, _)| address);
        address.parse().ok().map(canonical)
    });
    servers.collect()
}

/// `::ffff:a.b.c.d` is `a.b.c.d`; the unspecified address is this host's.
fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// Whether a server is on this host, in this process's network namespace: only then do its answers
/// come over the loopback device.
#[must_use]
pub fn is_on_this_host(server: IpAddr) -> bool {
    server.is_loopback() || UdpSocket::bind((server, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_the_resolver_library_reads_them() {
        let text = "# a comment\n; another\nsearch example.com\nnameserver 192.0.2.53 \n\
                    nameserver\t2001:db8::53%eth0\nnameserver ::ffff:192.0.2.54\n\
                    nameserver nobody\nnameserver\noptions edns0\n nameserver 0.0.0.0\n\
                    #nameserver 192.0.2.99\nnameservers 192.0.2.98\n";
        let wanted = ["192.0.2.53", "2001:db8::53", "192.0.2.54", "127.0.0.1"];
        let wanted: BTreeSet<IpAddr> = wanted.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(parse(text), wanted);
    }

    #[test]
    fn files_and_configuration_add_up_and_a_missing_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("resolv.conf");
        fs::write(&one, "nameserver 127.0.0.53\n").unwrap();
        let found = discover(
            &[one, folder.path().join("missing")],
            &["10.96.0.10".parse().unwrap(), "::ffff:127.0.0.53".parse().unwrap()],
        );
        let wanted = ["127.0.0.53", "10.96.0.10"];
        assert_eq!(found, wanted.iter().map(|ip| ip.parse().unwrap()).collect());
    }

    #[test]
    fn this_host_is_where_a_socket_can_be_bound() {
        assert!(is_on_this_host("127.0.0.53".parse().unwrap()));
        assert!(!is_on_this_host("192.0.2.53".parse().unwrap()));
    }
}
