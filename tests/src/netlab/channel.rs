//! Netlink sockets: one request at a time, and the kernel's answer to it.

use std::fmt::Debug;

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

/// A netlink socket of the namespace in which it was opened.
pub(crate) struct Channel {
    socket: Socket,
    sequence: u32,
}

impl Channel {
    /// Opens the socket of a protocol (`NETLINK_ROUTE`, ...) in the calling thread's namespace.
    pub(crate) fn open(protocol: isize) -> Result<Self> {
        let socket = Socket::new(protocol).context("no netlink socket")?;
        socket.connect(&SocketAddr::new(0, 0)).context("netlink does not connect")?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request that changes something and waits for the kernel's acknowledgement.
    pub(crate) fn request<M>(&mut self, message: M, flags: u16) -> Result<()>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug,
    {
        match self.ask(message, NLM_F_ACK | flags)? {
            None => Ok(()),
            Some(other) => {
                bail!("netlink answered something else than an acknowledgement: {other:?}")
            }
        }
    }

    /// Sends a request and returns the first message of the answer; none is an acknowledgement.
    pub(crate) fn ask<M>(&mut self, message: M, flags: u16) -> Result<Option<M>>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug,
    {
        self.sequence += 1;
        let mut packet = NetlinkMessage::new(
            netlink_packet_core::NetlinkHeader::default(),
            NetlinkPayload::InnerMessage(message),
        );
        packet.header.flags = NLM_F_REQUEST | flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut buffer = vec![0; packet.buffer_len()];
        packet.serialize(&mut buffer);
        self.socket.send(&buffer, 0)?;
        let (answer, _) = self.socket.recv_from_full()?;
        match NetlinkMessage::<M>::deserialize(&answer)?.payload {
            NetlinkPayload::Error(error) if error.code.is_none() => Ok(None),
            NetlinkPayload::Error(error) => Err(error.to_io().into()),
            NetlinkPayload::InnerMessage(inner) => Ok(Some(inner)),
            other => bail!("netlink answered {other:?}"),
        }
    }
}
