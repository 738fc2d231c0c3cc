//! What carries messages: each transport is a small encoder, messages in, turns out.

use sentinel_common::flow::Direction;

use super::Turn;
use crate::random::Random;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// As they are, over IPv4.
    TcpV4,
    /// As they are, over IPv6.
    TcpV6,
    /// A datagram each.
    Udp,
    /// Bodies of HTTP requests and answers.
    HttpPost,
    /// Likewise, in chunks of seven bytes.
    HttpChunked,
    /// Websocket frames, the client's masked.
    Websocket,
    /// Likewise, each message in two fragments with a ping between them.
    WebsocketFragments,
    /// Behind a SOCKS5 handshake.
    Socks5,
    /// Behind a SOCKS4a handshake.
    Socks4,
    /// Behind an HTTP proxy's CONNECT.
    HttpConnect,
    /// Behind HAProxy's line.
    ProxyV1,
    /// Behind HAProxy's binary header.
    ProxyV2,
    /// In TLS records (made-up ones: nobody here has a key).
    Tls,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 13] = [
        Self::TcpV4,
        Self::TcpV6,
        Self::Udp,
        Self::HttpPost,
        Self::HttpChunked,
        Self::Websocket,
        Self::WebsocketFragments,
        Self::Socks5,
        Self::Socks4,
        Self::HttpConnect,
        Self::ProxyV1,
        Self::ProxyV2,
        Self::Tls,
    ];

    /// A word or two for a table's head.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TcpV4 => "TCP v4",
            Self::TcpV6 => "TCP v6",
            Self::Udp => "UDP",
            Self::HttpPost => "HTTP POST",
            Self::HttpChunked => "HTTP chunked",
            Self::Websocket => "ws masked",
            Self::WebsocketFragments => "ws fragments",
            Self::Socks5 => "SOCKS5",
            Self::Socks4 => "SOCKS4",
            Self::HttpConnect => "CONNECT",
            Self::ProxyV1 => "PROXY v1",
            Self::ProxyV2 => "PROXY v2",
            Self::Tls => "TLS",
        }
    }

    /// The handshake, if any, and these turns carried. What is already a turn's preamble is lost.
    #[must_use]
    pub fn carry(self, turns: &[Turn]) -> Vec<Turn> {
        let mut carried = self.handshake();
        let mut random = Random::new(self as u64);
        for turn in turns {
            let client = turn.direction == Direction::Egress;
            let bytes = match self {
                Self::HttpPost | Self::HttpChunked => {
                    requests(&turn.bytes, client, self == Self::HttpChunked)
                }
                Self::Websocket | Self::WebsocketFragments => {
                    let fragments = self == Self::WebsocketFragments;
                    frames(&turn.bytes, client, fragments, &mut random)
                }
                Self::Tls => record(23, &random.bytes(turn.bytes.len() + 17)),
                _ => turn.bytes.clone(),
            };
            carried.push(Turn { direction: turn.direction, preamble: Vec::new(), bytes });
        }
        join_preambles(carried)
    }

    fn handshake(self) -> Vec<Turn> {
        let client = |bytes: &[u8]| Turn::only_preamble(Direction::Egress, bytes);
        let server = |bytes: &[u8]| Turn::only_preamble(Direction::Ingress, bytes);
        match self {
            Self::Websocket | Self::WebsocketFragments => vec![
                client(b"GET /proxy HTTP/1.1\r\nHost: pool.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
                server(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
            ],
            Self::Socks5 => vec![
                client(&[5, 1, 0]),
                server(&[5, 0]),
                client(b"\x05\x01\x00\x03\x0cpool.example\x0d\x05"),
                server(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
            ],
            Self::Socks4 => vec![
                client(b"\x04\x01\x0d\x05\x00\x00\x00\x01\x00pool.example\x00"),
                server(&[0, 0x5a, 0, 0, 0, 0, 0, 0]),
            ],
            Self::HttpConnect => vec![
                client(b"CONNECT pool.example:3333 HTTP/1.1\r\nHost: pool.example:3333\r\n\r\n"),
                server(b"HTTP/1.1 200 Connection established\r\n\r\n"),
            ],
            Self::ProxyV1 => vec![client(b"PROXY TCP4 192.0.2.10 10.99.0.2 40000 3333\r\n")],
            Self::ProxyV2 => vec![client(
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x0a\x0a\x63\x00\x02\x9c\x40\x0d\x05",
            )],
            Self::Tls => {
                let mut random = Random::new(5);
                let hello = |kind: u8, rest: Vec<u8>| {
                    let body = [&[kind, 0, 0, rest.len() as u8 + 2, 3, 3], rest.as_slice()].concat();
                    record(22, &body)
                };
                vec![client(&hello(1, random.bytes(190))), server(&hello(2, random.bytes(120)))]
            }
            _ => Vec::new(),
        }
    }
}

/// A handshake's last words and the first message of the same side are one stretch of the stream.
fn join_preambles(turns: Vec<Turn>) -> Vec<Turn> {
    let mut joined: Vec<Turn> = Vec::new();
    for turn in turns {
        match joined.last_mut() {
            Some(last) if last.direction == turn.direction && last.bytes.is_empty() => {
                last.preamble.extend(turn.preamble);
                last.bytes = turn.bytes;
            }
            _ => joined.push(turn),
        }
    }
    joined
}

/// The messages in a turn: JSON lines, each without its end (which HTTP and websockets do not need).
fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

/// One HTTP request (or answer) for each message.
fn requests(bytes: &[u8], client: bool, chunked: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages(bytes) {
        let first = if client {
            "POST /json_rpc HTTP/1.1\r\nHost: pool.example\r\nUser-Agent: lab/1\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nServer: lab\r\n"
        };
        out.extend_from_slice(first.as_bytes());
        out.extend_from_slice(b"Content-Type: application/json\r\n");
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in message.chunks(7) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
        } else {
            let length = format!("Content-Length: {}\r\n\r\n", message.len());
            out.extend_from_slice(length.as_bytes());
            out.extend_from_slice(message);
        }
    }
    out
}

/// One websocket message for each message, RFC 6455 section 5.2.
fn frames(bytes: &[u8], client: bool, fragments: bool, random: &mut Random) -> Vec<u8> {
    const TEXT: u8 = 1;
    const PING: u8 = 9;
    const FINAL: u8 = 0x80;
    let mut out = Vec::new();
    let mut frame = |head: u8, payload: &[u8]| {
        let mask_bit = if client { 0x80 } else { 0 };
        out.push(head);
        match payload.len() {
            len @ ..126 => out.push(mask_bit | len as u8),
            len => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        let key = if client { (random.word() as u32).to_be_bytes() } else { [0; 4] };
        if client {
            out.extend_from_slice(&key);
        }
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    };
    for message in messages(bytes) {
        if fragments {
            let (front, back) = message.split_at(message.len() / 2);
            frame(TEXT, front);
            frame(FINAL | PING, b"lab");
            frame(FINAL, back);
        } else {
            frame(FINAL | TEXT, message);
        }
    }
    out
}

/// RFC 8446 section 5.1.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(body);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transport_keeps_who_speaks_and_where_the_message_begins() {
        let turns = [Turn::client("{\"a\":1}\n{\"b\":2}\n"), Turn::server("{\"c\":3}\n")];
        for transport in Transport::ALL {
            let carried = transport.carry(&turns);
            let spoken: Vec<&Turn> = carried.iter().filter(|turn| !turn.bytes.is_empty()).collect();
            assert_eq!(spoken.len(), 2, "{transport:?}");
            assert_eq!(spoken[0].direction, Direction::Egress);
            assert_eq!(spoken[1].direction, Direction::Ingress);
        }
        let proxied = Transport::ProxyV1.carry(&turns);
        assert!(
            proxied[0].whole().starts_with(b"PROXY TCP4 ") && proxied[0].bytes == turns[0].bytes
        );
    }

    #[test]
    fn frames_unmask_to_the_message() {
        let carried = Transport::Websocket.carry(&[Turn::client("{\"a\":1}\n")]);
        let frame = &carried.last().unwrap().bytes;
        assert_eq!(frame[..2], [0x81, 0x87]);
        let plain: Vec<u8> = frame[6..]
            .iter()
            .zip(frame[2..6].iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        assert_eq!(plain, b"{\"a\":1}");
    }

    #[test]
    fn chunks_have_their_lengths() {
        let carried = Transport::HttpChunked.carry(&[Turn::client("{\"abc\":1}\n")]);
        let text = String::from_utf8(carried[0].bytes.clone()).unwrap();
        assert!(text.ends_with("7\r\n{\"abc\":\r\n2\r\n1}\r\n0\r\n\r\n"), "{text}");
    }
}
