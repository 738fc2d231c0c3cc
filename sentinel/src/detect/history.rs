//! What was seen of one connection: differences between samples, and the figures made of them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::respond::sock_diag::Traffic;

/// Looks that a score rests on: at the default interval, the last ten minutes.
pub const KEPT: usize = 60;
/// The first differences of a connection hold its handshake and login.
const WARM_UP: u32 = 2;
/// Nothing is said of a connection with fewer differences, or with fewer messages sent in them.
const DIFFERENCES: usize = 16;
const MESSAGES: u64 = 8;
/// Messages that a piece of time should have for their number to vary by chance, and the fewest
/// pieces that a variance can be taken of.
const PIECE_MESSAGES: f64 = 3.0;
const PIECES: usize = 8;
const MILLISECOND: u64 = 1_000_000;

/// One look at a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, nanoseconds of any clock that only goes forward.
    pub at: u64,
    /// The socket's cookie.
    pub cookie: u64,
    /// This host's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Totals so far.
    pub traffic: Traffic,
    /// It began like stratum V2's encrypted handshake.
    pub noise: bool,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug)]
struct Difference {
    nanoseconds: u64,
    bytes_out: u64,
    bytes_in: u64,
    segments_out: u32,
    segments_in: u32,
    /// When the last message was sent, if one was.
    sent: Option<u64>,
}

/// What was seen of one connection.
#[derive(Clone, Debug)]
pub(super) struct History {
    first: u64,
    last: Sample,
    skipped: u32,
    kept: VecDeque<Difference>,
}

/// What a connection's traffic comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Seconds since it was first seen.
    pub(super) age: f64,
    /// Seconds that the following figures are over.
    pub(super) window: f64,
    /// Messages sent: a message is a segment with payload.
    pub(super) messages: u64,
    /// Bytes a second, both ways together.
    pub(super) rate: f64,
    /// How messages fall into time: 0 by the clock, 1 by chance, more in bursts.
    pub(super) irregularity: f64,
    /// Median bytes of a message sent.
    pub(super) size_out: f64,
    /// Which part of the messages is as long as the median one, within 16 bytes or a tenth.
    pub(super) same_size: f64,
    /// Mean bytes of a message received.
    pub(super) size_in: f64,
    /// Messages received for each one sent.
    pub(super) answers: f64,
}

impl History {
    pub(super) const fn begin(sample: &Sample) -> Self {
        Self { first: sample.at, last: *sample, skipped: 0, kept: VecDeque::new() }
    }

    pub(super) const fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.last.local, self.last.remote)
    }

    /// When it was last looked at.
    pub(super) const fn seen(&self) -> u64 {
        self.last.at
    }

    pub(super) const fn is_noise(&self) -> bool {
        self.last.noise
    }

    pub(super) fn add(&mut self, sample: &Sample) {
        let (now, before) = (sample.traffic, self.last.traffic);
        let segments_out = now.segments_out.wrapping_sub(before.segments_out);
        let ago = u64::from(now.last_sent).saturating_mul(MILLISECOND);
        let difference = Difference {
            nanoseconds: sample.at.saturating_sub(self.last.at),
            bytes_out: now.bytes_sent.saturating_sub(before.bytes_sent),
            bytes_in: now.bytes_received.saturating_sub(before.bytes_received),
            segments_out,
            segments_in: now.segments_in.wrapping_sub(before.segments_in),
            sent: (segments_out > 0).then(|| sample.at.saturating_sub(ago)),
        };
        self.last = *sample;
        if self.skipped < WARM_UP {
            self.skipped += 1;
            return;
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(difference);
    }

    /// The figures, once enough was seen, and for so long.
    pub(super) fn figures(&self, watch_for: Duration) -> Option<Figures> {
        let messages: u64 = self.kept.iter().map(|one| u64::from(one.segments_out)).sum();
        let age = self.last.at.saturating_sub(self.first);
        if Duration::from_nanos(age) < watch_for
            || self.kept.len() < DIFFERENCES
            || messages < MESSAGES
        {
            return None;
        }
        let sum = |of: fn(&Difference) -> u64| self.kept.iter().map(of).sum::<u64>() as f64;
        let window = sum(|one| one.nanoseconds) / 1e9;
        let (bytes_in, received) = (sum(|one| one.bytes_in), sum(|one| u64::from(one.segments_in)));
        let (size_out, same_size) = self.sizes();
        Some(Figures {
            age: age as f64 / 1e9,
            window,
            messages,
            rate: (sum(|one| one.bytes_out) + bytes_in) / window.max(1.0),
            irregularity: self.irregularity(messages as f64),
            size_out,
            same_size,
            size_in: if received > 0.0 { bytes_in / received } else { 0.0 },
            answers: received / messages as f64,
        })
    }

    /// The dispersion of the messages' number in pieces of time, 1 where they come independently of
    /// each other. Where they come less than once a sample, the times between them tell too; but of
    /// several in one sample only the last has a time, which makes chance look like a clock: whichever
    /// of the two says more counts.
    fn irregularity(&self, messages: f64) -> f64 {
        let samples = self.kept.len();
        let per_sample = messages / samples.max(1) as f64;
        let most = (samples / PIECES).max(1);
        let piece = ((PIECE_MESSAGES / per_sample).ceil() as usize).clamp(1, most);
        let counts: Vec<f64> = self.kept.iter().map(|one| f64::from(one.segments_out)).collect();
        let (mean, variance) = moments(counts.chunks_exact(piece).map(|piece| piece.iter().sum()));
        let dispersion = if mean > 0.0 { variance / mean } else { 0.0 };
        if per_sample >= 1.0 {
            return dispersion;
        }
        let times: Vec<u64> = self.kept.iter().filter_map(|one| one.sent).collect();
        let gaps = times.windows(2).filter_map(|pair| match pair {
            [before, after] => Some(after.saturating_sub(*before) as f64),
            _ => None,
        });
        let (mean, variance) = moments(gaps);
        let variation = if mean > 0.0 { variance / (mean * mean) } else { 0.0 };
        dispersion.max(variation)
    }

    /// The median size of what was sent, and the part of it that is about as long.
    fn sizes(&self) -> (f64, f64) {
        let sent = self.kept.iter().filter(|one| one.segments_out > 0);
        let mut sizes: Vec<f64> =
            sent.map(|one| one.bytes_out as f64 / f64::from(one.segments_out)).collect();
        sizes.sort_by(f64::total_cmp);
        let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
        let near = sizes.iter().filter(|size| (*size - median).abs() <= (median / 10.0).max(16.0));
        (median, near.count() as f64 / sizes.len().max(1) as f64)
    }
}

/// Mean and variance.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance)
}
