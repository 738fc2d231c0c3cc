//! What was found on single sockets: for the score, and for whoever asks what is open.

use std::collections::{HashMap, VecDeque};

use sentinel_common::verdict::{Reason, Verdict};

/// Sockets that are remembered; the oldest are forgotten first.
const SOCKETS: usize = 16_384;

/// What was found on one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Remark {
    /// The gravest that was done about it, and why.
    pub finding: Option<(Verdict, Reason)>,
    /// It began like stratum V2's encrypted handshake.
    pub noise: bool,
    /// Its last score for encrypted mining, 0 to 1, with all that is known.
    pub score: Option<f64>,
}

/// All of them, by cookie.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    of: HashMap<u64, Remark>,
    order: VecDeque<u64>,
}

impl Remarks {
    pub(super) fn of(&self, cookie: u64) -> Remark {
        self.of.get(&cookie).copied().unwrap_or_default()
    }

    /// Changes what is remembered of a socket; one without a cookie is nobody's.
    pub(super) fn change(&mut self, cookie: u64, change: impl FnOnce(&mut Remark)) {
        if cookie == 0 {
            return;
        }
        if !self.of.contains_key(&cookie) {
            if self.order.len() >= SOCKETS
                && let Some(oldest) = self.order.pop_front()
            {
                self.of.remove(&oldest);
            }
            self.order.push_back(cookie);
        }
        change(self.of.entry(cookie).or_default());
    }
}

impl Remark {
    /// Takes a finding, unless a graver one stands.
    pub fn find(&mut self, verdict: Verdict, reason: Reason) {
        if self.finding.is_none_or(|(before, _)| verdict >= before) {
            self.finding = Some((verdict, reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_finding_stands() {
        let mut remarks = Remarks::default();
        for (verdict, reason) in [
            (Verdict::Audited, Reason::PoolName),
            (Verdict::Blocked, Reason::Stratum),
            (Verdict::Audited, Reason::EncryptedMining),
        ] {
            remarks.change(7, |remark| remark.find(verdict, reason));
        }
        assert_eq!(remarks.of(7).finding, Some((Verdict::Blocked, Reason::Stratum)));
        assert_eq!(remarks.of(8), Remark::default());
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut remarks = Remarks::default();
        for cookie in 0..=(SOCKETS as u64 + 2) {
            remarks.change(cookie, |remark| remark.noise = true);
        }
        assert_eq!((remarks.of.len(), remarks.order.len()), (SOCKETS, SOCKETS));
        assert!(!remarks.of(0).noise && !remarks.of(2).noise && remarks.of(3).noise);
    }
}
