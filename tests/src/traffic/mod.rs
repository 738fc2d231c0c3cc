//! Traffic that is made, not captured: who says what ([`speech`]), carried by what ([`transport`]),
//! cut into which packets ([`segments`], [`wild`]).

pub mod capture;
pub mod segments;
pub mod speech;
pub mod transport;
pub mod wild;

use sentinel_common::flow::Direction;

/// What one side says before the other speaks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who: egress is the side that opened the connection.
    pub direction: Direction,
    /// The bytes of it that are the transport's own, in front of the others.
    pub preamble: Vec<u8>,
    /// The messages, as the transport carries them.
    pub bytes: Vec<u8>,
}

impl Turn {
    /// The client says this.
    #[must_use]
    pub fn client(bytes: impl Into<Vec<u8>>) -> Self {
        Self { direction: Direction::Egress, preamble: Vec::new(), bytes: bytes.into() }
    }

    /// The server says this.
    #[must_use]
    pub fn server(bytes: impl Into<Vec<u8>>) -> Self {
        Self { direction: Direction::Ingress, ..Self::client(bytes) }
    }

    /// A turn of the transport alone.
    #[must_use]
    pub fn only_preamble(direction: Direction, preamble: impl Into<Vec<u8>>) -> Self {
        Self { direction, preamble: preamble.into(), bytes: Vec::new() }
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> Vec<u8> {
        [self.preamble.as_slice(), &self.bytes].concat()
    }
}
