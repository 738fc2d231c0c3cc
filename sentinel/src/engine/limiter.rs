//! One socket in a retry loop must not fill the journal: of events that are alike only the first few
//! in a window are written, the rest is counted and the count written when the window closes.

use std::collections::HashMap;
use std::net::SocketAddr;

use sentinel_common::verdict::Reason;

use crate::event::KernelEvent;

/// Length of a window, nanoseconds.
pub(super) const WINDOW: u64 = 10_000_000_000;
/// Lines of one cgroup, destination and reason in a window.
pub(super) const BURST: u64 = 5;
/// Lines of one cgroup and reason in a window, whatever the destination: a scan of many addresses.
pub(super) const BURST_CGROUP: u64 = 200;
/// Windows that may be open at a time.
pub(super) const CAPACITY: usize = 8192;

/// What makes two events alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) cgroup: u64,
    pub(super) reason: Reason,
    /// `None` in the window of the whole cgroup.
    pub(super) remote: Option<SocketAddr>,
    /// Of the name that was asked for: one resolver hears of many. 0 where there is none.
    pub(super) name: u64,
}

impl Key {
    pub(super) fn of(event: &KernelEvent) -> Self {
        Self {
            cgroup: event.cgroup,
            reason: event.reason,
            remote: event.remote.or(event.local),
            name: event.name.as_deref().map_or(0, sum),
        }
    }
}

/// FNV-1a: tells names apart that nobody chose to be alike; a miner that does gets fewer lines.
fn sum(name: &str) -> u64 {
    let step = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step) | 1
}

/// A window that closed with events left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) key: Key,
    pub(super) count: u64,
}

/// The answer on one event.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    pub(super) journal: bool,
    /// There was no room to open a window.
    pub(super) overflowed: bool,
    pub(super) closed: Vec<Closed>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: u64,
    written: u64,
    left_out: u64,
}

#[derive(Debug, Default)]
pub(super) struct Limiter(HashMap<Key, Window>);

impl Limiter {
    /// Whether this event is written.
    pub(super) fn admit(&mut self, key: Key, now: u64) -> Admitted {
        let mut admitted = Admitted { journal: true, ..Admitted::default() };
        let whole = Key { remote: None, name: 0, ..key };
        for (key, burst) in [(key, BURST), (whole, BURST_CGROUP)] {
            if !admitted.journal {
                break;
            }
            match self.window(key, now, &mut admitted.closed) {
                Some(window) if window.written < burst => window.written += 1,
                Some(window) => {
                    window.left_out += 1;
                    admitted.journal = false;
                }
                None => admitted.overflowed = true,
            }
        }
        admitted
    }

    fn window(&mut self, key: Key, now: u64, closed: &mut Vec<Closed>) -> Option<&mut Window> {
        let is_full = self.0.len() >= CAPACITY;
        let new = Window { ends: now.saturating_add(WINDOW), written: 0, left_out: 0 };
        match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => {
                let window = entry.into_mut();
                if window.ends <= now {
                    closed.extend(closing(key, window));
                    *window = new;
                }
                Some(window)
            }
            std::collections::hash_map::Entry::Vacant(_) if is_full => None,
            std::collections::hash_map::Entry::Vacant(entry) => Some(entry.insert(new)),
        }
    }

    /// Closes the windows that are over, in the order of their keys.
    pub(super) fn expire(&mut self, now: u64) -> Vec<Closed> {
        let over = self.0.extract_if(|_, window| window.ends <= now);
        let mut closed: Vec<Closed> =
            over.filter_map(|(key, window)| closing(key, &window)).collect();
        closed.sort_by_key(|closed| closed.key);
        closed
    }
}

fn closing(key: Key, window: &Window) -> Option<Closed> {
    (window.left_out > 0).then_some(Closed { key, count: window.left_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Key {
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        Key { cgroup: 7, reason: Reason::NotAllowlisted, remote: Some(remote), name: 0 }
    }

    #[test]
    fn the_first_few_are_written_and_the_rest_is_counted() {
        let mut limiter = Limiter::default();
        let written = (0..20).filter(|_| limiter.admit(key(1), 0).journal).count();
        assert_eq!(written as u64, BURST);
        assert!(limiter.expire(WINDOW - 1).is_empty());
        assert_eq!(limiter.expire(WINDOW), [Closed { key: key(1), count: 20 - BURST }]);
        assert!(limiter.admit(key(1), WINDOW).journal);
    }

    #[test]
    fn a_window_closes_at_the_next_event_too() {
        let mut limiter = Limiter::default();
        for _ in 0..=BURST {
            limiter.admit(key(1), 0);
        }
        let admitted = limiter.admit(key(1), WINDOW);
        assert!(admitted.journal);
        assert_eq!(admitted.closed, [Closed { key: key(1), count: 1 }]);
    }

    #[test]
    fn a_scan_is_limited_as_a_whole_and_memory_is_bounded() {
        let mut limiter = Limiter::default();
        let written = (0..20_000_u16).filter(|port| limiter.admit(key(*port), 0).journal).count();
        assert_eq!(written as u64, BURST_CGROUP);
        assert!(limiter.0.len() <= CAPACITY);
        let left_out: u64 = limiter.expire(u64::MAX).iter().map(|closed| closed.count).sum();
        assert_eq!(left_out + BURST_CGROUP, 20_000);
        assert!(limiter.0.is_empty());
    }
}
