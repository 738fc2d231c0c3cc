//! Who asks.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use anyhow::{Context as _, Result};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use super::{PATIENCE, read_message};

/// A socket for many questions.
#[derive(Debug)]
pub struct Client {
    socket: UdpSocket,
    server: SocketAddr,
    connected: bool,
    id: u16,
}

impl Client {
    /// Asks the server at this address, in the calling thread's network namespace; `connected` as
    /// resolver libraries do it.
    pub fn new(server: IpAddr, connected: bool) -> Result<Client> {
        let any: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let server = SocketAddr::new(server, 53);
        if connected {
            socket.connect(server)?;
        }
        Ok(Client { socket, server, connected, id: 1 })
    }

    /// Asks for a name's IPv4 addresses, and takes whatever comes first: forged answers too.
    pub fn ask(&mut self, name: &str) -> Result<Message> {
        let question = self.question(name)?;
        if self.connected {
            self.socket.send(&question)?;
        } else {
            self.socket.send_to(&question, self.server)?;
        }
        let mut buffer = [0; 65_536];
        let (len, _) = self.socket.recv_from(&mut buffer).with_context(|| name.to_owned())?;
        Ok(Message::from_vec(buffer.get(..len).unwrap_or_default())?)
    }

    /// The same over TCP, in pieces of one byte.
    pub fn ask_stream(&mut self, name: &str) -> Result<Message> {
        let question = self.question(name)?;
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let len = u16::try_from(question.len())?.to_be_bytes();
        for byte in len.iter().chain(&question) {
            stream.write_all(&[*byte])?;
        }
        Ok(read_message(&mut stream)?)
    }

    fn question(&mut self, name: &str) -> Result<Vec<u8>> {
        self.id = self.id.wrapping_add(1);
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name)?, RecordType::A));
        Ok(message.to_vec()?)
    }
}

/// The addresses of an answer.
#[must_use]
pub fn addresses(message: &Message) -> Vec<IpAddr> {
    let of = |data: &RData| match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(aaaa) => Some(aaaa.0.into()),
        _ => None,
    };
    message.answers.iter().filter_map(|record| of(&record.data)).collect()
}
