//! States. Below [`RUNS`] header bytes are fed; from there on, runs; from [`ENDS`] on, outcomes; and
//! from [`BETWEEN_RECORDS`] on, which is a bit beside the state that is gone on with, header bytes.

/// No frames: the bytes are the lexer's.
pub const PLAIN: u8 = 0;
/// The first byte of a stream says what it is.
pub const OPENING: u8 = 1;
pub(super) const BLANK: u8 = 2;
pub(super) const PROXY_HEADER: u8 = 3;
pub(super) const SOCKS4_HEADER: u8 = 4;
pub(super) const SOCKS4_STRING: u8 = 5;
pub(super) const SOCKS5_METHODS: u8 = 6;
pub(super) const SOCKS5_NEXT: u8 = 7;
pub(super) const SOCKS5_USER: u8 = 8;
pub(super) const SOCKS5_PASSWORD: u8 = 9;
pub(super) const SOCKS5_ADDRESS: u8 = 10;
pub(super) const SOCKS5_HOST: u8 = 11;
pub(super) const SOCKS5_ANSWER: u8 = 12;
/// A websocket frame begins.
pub const WEBSOCKET: u8 = 13;
pub(super) const WEBSOCKET_LENGTH: u8 = 14;
pub(super) const WEBSOCKET_EXTENDED: u8 = 15;
pub(super) const WEBSOCKET_MASK: u8 = 16;
/// A chunk's size begins.
pub const CHUNK: u8 = 17;
pub(super) const CHUNK_EXTENSION: u8 = 18;
pub(super) const CHUNK_END: u8 = 19;
pub(super) const TLS_RECORD: u8 = 20;
pub(super) const TLS_HELLO: u8 = 21;
pub(super) const TLS_SESSION: u8 = 22;
pub(super) const TLS_CIPHERS: u8 = 23;
pub(super) const TLS_COMPRESSION: u8 = 24;
pub(super) const TLS_EXTENSIONS: u8 = 25;
pub(super) const TLS_EXTENSION: u8 = 26;
pub(super) const TLS_NAME: u8 = 27;
pub(super) const DNS_LENGTH: u8 = 28;
pub(super) const DNS_LABEL: u8 = 29;
pub(super) const MAGIC: u8 = 30;
pub(super) const MAGIC_COMMAND: u8 = 31;
pub(super) const LEVIN: u8 = 32;
pub(super) const LEVIN_COMMAND: u8 = 33;
/// As much of `PROXY ` as was read is in the count.
pub(super) const PROXY_WORD: u8 = 34;
pub(super) const PROXY_LINE: u8 = 35;
/// The place in the stream was lost: where a segment begins, a websocket frame may.
pub const LOST: u8 = 36;

/// The first state whose bytes are a run.
pub const RUNS: u8 = 40;
/// A websocket frame's payload, to be read.
pub const WEBSOCKET_PAYLOAD: u8 = 40;
/// A chunk's data, to be read.
pub const CHUNK_DATA: u8 = 41;
/// The last run that is read.
pub const READ_END: u8 = 41;
/// A server's name in a TLS handshake.
pub const TLS_NAME_RUN: u8 = 42;
/// A label of a name in a DNS question.
pub const DNS_LABEL_RUN: u8 = 43;
/// The last run that is a name.
pub const NAME_END: u8 = 43;
// From here on runs are passed over; each is followed by a state that its name tells.
pub(super) const TO_OPENING: u8 = 44;
pub(super) const TO_WEBSOCKET: u8 = 45;
pub(super) const TO_SOCKS5_NEXT: u8 = 46;
pub(super) const TO_SOCKS5_PASSWORD: u8 = 47;
pub(super) const TO_SOCKS5_ANSWER: u8 = 48;
pub(super) const TO_TLS_SESSION: u8 = 49;
pub(super) const TO_TLS_CIPHERS: u8 = 50;
pub(super) const TO_TLS_COMPRESSION: u8 = 51;
pub(super) const TO_TLS_EXTENSIONS: u8 = 52;
pub(super) const TO_TLS_EXTENSION: u8 = 53;
pub(super) const TO_DNS_LABEL: u8 = 54;
pub(super) const TO_DNS_LENGTH: u8 = 55;
pub(super) const TO_LEVIN_COMMAND: u8 = 56;
/// The segments of what may be a Noise handshake are only counted.
pub const NOISE: u8 = 57;

/// The first outcome.
pub const ENDS: u8 = 64;
/// Nothing more is to be read in this direction.
pub const STOP: u8 = 64;
/// The byte just fed is the first of the lexer's.
pub const PLAIN_FROM_HERE: u8 = 65;
/// The lexer's bytes begin behind the byte just fed.
pub const PLAIN_NEXT: u8 = 66;
/// A DNS question's name is complete; the rest of the message is a run.
pub const DNS_NAME_DONE: u8 = 67;
/// A TLS handshake without a server's name.
pub const TLS_NAMELESS: u8 = 68;
/// The first message of a node of Bitcoin's kind.
pub const PEER_BITCOIN: u8 = 69;
/// The first message of a node of Monero's kind.
pub const PEER_MONERO: u8 = 70;

/// A bit beside the state of a TLS handshake: before it goes on, the header of a record does.
pub const BETWEEN_RECORDS: u8 = 0x80;
