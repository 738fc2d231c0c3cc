//! The first message of a coin's node to another.

use super::Frame;
use super::state::*;

/// The first four of levin's eight bytes (epee, `LEVIN_SIGNATURE`).
const LEVIN_FIRST: u32 = 0x0121_0101;
/// The four bytes before every message of a coin's nodes: Bitcoin, its regtest and testnet3, Namecoin,
/// Ravencoin, Dogecoin, Litecoin, Dash, Zcash, Bitcoin Cash. Their first bytes stand in [`opening`].
const MAGICS: [u32; 10] = [
    0xf9be_b4d9,
    0xfabf_b5da,
    0x0b11_0907,
    0xf9be_b4fe,
    0x5241_564e,
    0xc0c0_c0c0,
    0xfbc0_b6db,
    0xbf0c_6bbd,
    0x24e9_2764,
    0xe3e1_f3e8,
];

/// Whether a stream that begins with these four bytes is a coin's node speaking to another.
#[inline(always)]
#[must_use]
pub fn is_magic(first: u32) -> bool {
    let mut known = first == LEVIN_FIRST;
    for magic in MAGICS {
        known |= magic == first;
    }
    known
}

/// Whether a stream of which [`is_magic`] holds may begin with this byte.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
pub(crate) const fn is_magic_byte(byte: u8) -> bool {
    let mut known = (LEVIN_FIRST >> 24) as u8 == byte;
    let mut index = 0;
    while index < MAGICS.len() {
        known = known || (MAGICS[index] >> 24) as u8 == byte;
        index += 1;
    }
    known
}

/// The first message of a node is `version`; Monero's (levin) is 01 21 and six times 01, eight bytes
/// of length, one flag and the command, little-endian: a handshake is 1001 and all others follow it
/// closely.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the index is below the array's length")]
pub(super) const fn peer(frame: Frame, last: u64) -> Frame {
    let last = last as u32;
    let missing = frame.missing();
    match (frame.state(), missing) {
        // After the first four of eight bytes.
        (LEVIN, Some(frame)) if frame.count() == 4 && last != LEVIN_FIRST => frame.to(STOP),
        (_, Some(frame)) => frame,
        (MAGIC, None) => {
            let mut index = 0;
            let mut known = false;
            while index < MAGICS.len() {
                known = known || MAGICS[index] == last;
                index += 1;
            }
            if known { frame.field(MAGIC_COMMAND, 4) } else { frame.to(STOP) }
        }
        (MAGIC_COMMAND, None) if last == u32::from_be_bytes(*b"vers") => frame.to(PEER_BITCOIN),
        (LEVIN, None) if last == 0x0101_0101 => frame.skip(TO_LEVIN_COMMAND, 9),
        (LEVIN_COMMAND, None) if last & 0x00ff_ffff == 0x0003_0000 => frame.to(PEER_MONERO),
        _ => frame.to(STOP),
    }
}
