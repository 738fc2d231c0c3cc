//! Which sockets may not be made where raw ones are refused.

use sentinel_common::config::{Config, Modes, Policies, SOCK_STREAM, Switch};
use sentinel_common::verdict::Mode;

/// `AF_…` (include/linux/socket.h).
const UNIX: u32 = 1;
const INET: u32 = 2;
const INET6: u32 = 10;
const KEY: u32 = 15;
const NETLINK: u32 = 16;
const PACKET: u32 = 17;
const ALG: u32 = 38;
/// The last one that Linux 7 knows, and more.
const LAST: u32 = 64;
/// `SOCK_…` (include/linux/net.h).
const DATAGRAM: u32 = 2;
const RAW: u32 = 3;

fn config(refuse_raw: u32, egress: Mode) -> Config {
    let switch = Switch::new(1, Modes { egress, ..Modes::OFF }, Policies::default(), 0);
    Config { switch: switch.0, refuse_raw, ..Config::default() }
}

#[test]
fn of_ip_raw_ones_are_refused_and_others_are_not() {
    let config = config(1, Mode::Enforce);
    for family in [INET, INET6] {
        assert!(config.refuses(family, RAW));
        assert!(!config.refuses(family, SOCK_STREAM) && !config.refuses(family, DATAGRAM));
    }
}

#[test]
fn whatever_leaves_by_another_way_is_refused_and_what_stays_is_not() {
    let config = config(1, Mode::Enforce);
    for family in 0..LAST {
        let stays = [UNIX, INET, INET6, KEY, NETLINK, ALG].contains(&family);
        for kind in [SOCK_STREAM, DATAGRAM, RAW] {
            let is_raw_ip = [INET, INET6].contains(&family) && kind == RAW;
            assert_eq!(config.refuses(family, kind), !stays || is_raw_ip, "{family} {kind}");
        }
    }
}

#[test]
fn nothing_is_refused_where_nobody_asks_for_it() {
    for (refuse_raw, egress) in [(0, Mode::Enforce), (1, Mode::Audit), (1, Mode::Off)] {
        assert!(!config(refuse_raw, egress).refuses(PACKET, RAW));
    }
}
