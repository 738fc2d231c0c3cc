//! Numbers for made-up traffic: the same seed gives the same session.

/// A generator after Steele, Lea and Flood's SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 up to, but not including, 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between two numbers.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// Between two sizes.
    pub(super) fn size(&mut self, low: usize, high: usize) -> usize {
        self.between(low as f64, high as f64) as usize
    }

    /// Between two sizes, the small ones far more often.
    pub(super) fn skewed(&mut self, low: usize, high: usize) -> usize {
        let ratio = high as f64 / low as f64;
        (low as f64 * ratio.powf(self.unit().powi(2))) as usize
    }

    /// How long until something happens that happens by chance every `mean` seconds.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}
