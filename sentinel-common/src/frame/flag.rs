//! Flags of a frame. One bit means another thing in another state.

/// Websocket: the frame's payload is masked.
pub const MASKED: u64 = 1;
/// Websocket: the message under way can be read. Set for frames that continue it.
pub const MESSAGE: u64 = 2;
/// At the opening: this side answers, the other one spoke first.
pub const ANSWER: u64 = 1;
/// At the opening: a SOCKS4 request went before, on this side; or, with `ANSWER`, on the other.
pub const SOCKS4: u64 = 2;
/// A name has begun.
pub const NAMED: u64 = 1;
/// A label begins.
pub const LABEL: u64 = 2;
/// TLS between two records: from this bit on, bytes of the next one's header that were read.
pub(super) const PLACE: u32 = 1;
