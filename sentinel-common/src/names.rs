//! Names of hosts: how a domain of a feed is found again as the end of a name that is asked for.
//!
//! A feed holds domains; `pool.example.com` and everything below it is meant by `example.com`. The
//! kernel keeps hashes, keyed with a secret drawn when the agent starts, and looks up every end of a
//! name that begins at a label: [`Suffixes`] makes all of them in one pass.

/// Labels of the longest domain a feed may hold.
pub const MAX_LABELS: usize = 6;
/// Characters of the longest name (RFC 1035 section 2.3.4, without the root's dot).
pub const MAX_NAME: usize = 253;
/// Room for a name and for one more piece of it behind its last byte, see [`NameSlot`].
pub const NAME_ROOM: usize = 320;
/// Room for the patterns that can mean one name: one that is it, one for each of its ends, and one that
/// is never used, for the alignment.
pub const NAME_PATTERNS: usize = 1 + MAX_LABELS + 1;
/// Names under way or read last, in slot `cookie % NAME_SLOTS`.
pub const NAME_SLOTS: usize = 8192;

/// The secret of a run: nobody outside can make two names collide.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameKey {
    /// Where every hash begins.
    pub seed: u64,
    /// Odd.
    pub multiplier: u64,
}

impl NameKey {
    /// A key of these random words.
    #[must_use]
    pub const fn new(seed: u64, multiplier: u64) -> Self {
        Self { seed, multiplier: multiplier | 1 }
    }

    /// A hash under way, one byte further; it begins at `seed`, and [`finish`] ends it.
    #[inline(always)]
    #[must_use]
    pub const fn step(self, hash: u64, byte: u8) -> u64 {
        (hash ^ byte as u64).wrapping_mul(self.multiplier)
    }

    /// The hash of a domain: lower-case, dotted, without a dot at either end.
    #[must_use]
    pub fn hash(self, domain: &[u8]) -> u64 {
        finish(domain.iter().fold(self.seed, |hash, &byte| self.step(hash, byte)))
    }
}

/// The upper half folded into the lower one, which a multiplication alone leaves weak.
#[inline(always)]
#[must_use]
pub const fn finish(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}

/// The hashes of a name's last labels, made byte by byte.
#[derive(Clone, Copy, Debug)]
pub struct Suffixes {
    key: NameKey,
    hashes: [u64; MAX_LABELS],
}

impl Suffixes {
    /// Before the first byte.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: NameKey) -> Self {
        // What begins at zero instead of the seed is nobody's hash: labels that are not there need
        // no count, and a count would multiply what the verifier has to follow.
        Self { key, hashes: [key.seed, 0, 0, 0, 0, 0] }
    }

    /// Where [`Suffixes::parts`] left off.
    #[inline(always)]
    #[must_use]
    pub const fn resume(key: NameKey, hashes: [u64; MAX_LABELS]) -> Self {
        Self { key, hashes }
    }

    /// The hashes under way, to be kept while the rest of the name is on its way.
    #[inline(always)]
    #[must_use]
    pub const fn parts(&self) -> [u64; MAX_LABELS] {
        self.hashes
    }

    /// Takes the name's next byte, lower-case; a dot begins a label.
    #[inline(always)]
    pub const fn push(&mut self, byte: u8) {
        let [a, b, c, d, e, f] = self.hashes;
        let key = self.key;
        let (a, b, c) = (key.step(a, byte), key.step(b, byte), key.step(c, byte));
        let (d, e, f) = (key.step(d, byte), key.step(e, byte), key.step(f, byte));
        self.hashes = if byte == b'.' { [key.seed, a, b, c, d, e] } else { [a, b, c, d, e, f] };
    }

    /// Takes the name's next byte where that is no dot: [`Suffixes::push`] without a branch.
    #[inline(always)]
    pub const fn push_letter(&mut self, byte: u8) {
        let [a, b, c, d, e, f] = self.hashes;
        let key = self.key;
        let (a, b, c) = (key.step(a, byte), key.step(b, byte), key.step(c, byte));
        let (d, e, f) = (key.step(d, byte), key.step(e, byte), key.step(f, byte));
        self.hashes = [a, b, c, d, e, f];
    }

    /// The hashes of the last label, the last two, and so on; where the name has fewer, a hash that
    /// no domain has.
    #[inline(always)]
    #[must_use]
    pub fn hashes(&self) -> [u64; MAX_LABELS] {
        self.hashes.map(finish)
    }
}

/// A name that is being read from a socket, or was read from it last.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameSlot {
    /// The socket's cookie; the slot may since belong to another socket.
    pub cookie: u64,
    /// Bytes of `name` in use.
    pub len: u32,
    /// A [`crate::segment::Source`], 0 while the name is under way.
    pub source: u32,
    /// The name, lower-case and dotted; no dot at the end.
    pub name: [u8; NAME_ROOM],
    /// Numbers of the patterns that mean it, where a rule demands a server's name; 0 for none.
    pub patterns: [u32; NAME_PATTERNS],
}

/// A letter of a host's name as it is compared (RFC 4343): only ASCII has a case.
#[inline(always)]
#[must_use]
pub const fn lower(byte: u8) -> u8 {
    let is_upper = byte.wrapping_sub(b'A') < 26;
    byte | (is_upper as u8) << 5
}

const _: () = {
    assert!(size_of::<NameSlot>() == 16 + NAME_ROOM + 4 * NAME_PATTERNS);
    assert!(NAME_SLOTS.is_power_of_two());
    assert!(NAME_ROOM >= 256 + 64);
};
