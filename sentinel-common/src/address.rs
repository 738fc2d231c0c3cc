//! One form for both families: an IPv4 address is its v4-mapped IPv6 address (RFC 4291 2.5.5.2).
//!
//! `::ffff:a.b.c.d` typed by an application and `a.b.c.d` on the wire are then the same key, and
//! neither can be used to slip past the other's rule.

/// A network address, 16 bytes in network byte order.
pub type Address = [u8; 16];

/// The v4-mapped form of an IPv4 address given in network byte order.
#[inline(always)]
#[must_use]
pub const fn from_v4(v4: [u8; 4]) -> Address {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}

/// The address whose 32-bit words stand in memory like this (network byte order).
#[inline(always)]
#[must_use]
pub const fn from_words(words: [u32; 4]) -> Address {
    let [a, b, c, d] = words;
    let ([a, e, i, m], [b, f, j, n]) = (a.to_ne_bytes(), b.to_ne_bytes());
    let ([c, g, k, o], [d, h, l, p]) = (c.to_ne_bytes(), d.to_ne_bytes());
    [a, e, i, m, b, f, j, n, c, g, k, o, d, h, l, p]
}

/// Whether this is an IPv4 address.
#[inline(always)]
#[must_use]
pub const fn is_v4(address: &Address) -> bool {
    let (high, low) = halves(address);
    high == 0 && low >> 32 == 0xffff
}

/// Whether this is `127.0.0.0/8`, `::1`, or the unspecified address (which Linux connects to this
/// host: net/ipv4/tcp_ipv4.c, net/ipv6/tcp_ipv6.c).
#[inline(always)]
#[must_use]
pub const fn is_loopback(address: &Address) -> bool {
    let (high, low) = halves(address);
    if is_v4(address) {
        return low & 0xff00_0000 == 0x7f00_0000 || low & 0xffff_ffff == 0;
    }
    high == 0 && low <= 1
}

/// The address as two numbers: one comparison each instead of eight.
#[inline(always)]
#[must_use]
pub const fn halves(address: &Address) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p]))
}

/// The address of these two numbers.
#[inline(always)]
#[must_use]
pub const fn from_halves(high: u64, low: u64) -> Address {
    let [a, b, c, d, e, f, g, h] = high.to_be_bytes();
    let [i, j, k, l, m, n, o, p] = low.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}
