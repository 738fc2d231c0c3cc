//! IPsec of the kernel's own: what leaves is ESP (RFC 4303), to whom the state names.
//!
//! The payload is not encrypted (RFC 2410), so that the marker can be seen on the wire.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;

use anyhow::Result;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_xfrm::{
    Alg, UserTemplate, XFRM_MODE_TRANSPORT, XFRM_MODE_TUNNEL, XFRM_POLICY_OUT, XfrmAttrs,
    XfrmMessage, policy, state,
};
use netlink_sys::protocols::NETLINK_XFRM;

use super::{Aim, bytes, plain};
use crate::netlab::Channel;
use crate::sys;

const ESP: u8 = libc::IPPROTO_ESP as u8;
/// Any number but those that are set aside.
const SPI: u32 = 0x5e47;
/// Ties the policy to the state.
const REQUEST: u32 = 1;
const AUTHENTICATION_KEY: [u8; 32] = [0x5e; 32];

/// The datagram itself goes to the target, inside ESP.
pub(super) fn transport(aim: &Aim) -> io::Result<()> {
    sent(aim, aim.target.ip(), XFRM_MODE_TRANSPORT)
}

/// The datagram goes to another, its ESP packet to the target.
pub(super) fn tunnel(aim: &Aim) -> io::Result<()> {
    sent(aim, aim.other.ip(), XFRM_MODE_TUNNEL)
}

fn sent(aim: &Aim, inner: IpAddr, mode: u8) -> io::Result<()> {
    let mut channel = Channel::open(NETLINK_XFRM).map_err(plain)?;
    let outcome = protect(&mut channel, aim, inner, mode).map_err(plain).and_then(|()| {
        let socket = aim.socket(libc::SOCK_DGRAM, 0)?;
        let to = std::net::SocketAddr::new(inner, aim.target.port());
        sys::send(socket.as_fd(), &aim.marker, 0, &bytes::sockaddr(to)).map(drop)
    });
    // What comes next is to be tried without it.
    clear(&mut channel).map_err(plain)?;
    outcome
}

/// Has the kernel send what goes to `inner` inside ESP to the target.
fn protect(channel: &mut Channel, aim: &Aim, inner: IpAddr, mode: u8) -> Result<()> {
    clear(channel)?;
    let mut security = state::ModifyMessage::default();
    let sa = &mut security.user_sa_info;
    sa.source(&aim.source);
    sa.destination(&aim.target.ip());
    sa.id.spi = SPI;
    sa.id.proto = ESP;
    sa.reqid = REQUEST;
    sa.mode = mode;
    security.nlas = vec![
        XfrmAttrs::AuthenticationAlg(algorithm("hmac(sha256)", &AUTHENTICATION_KEY)),
        XfrmAttrs::EncryptionAlg(algorithm("ecb(cipher_null)", &[])),
    ];
    channel.request(XfrmMessage::AddSa(security), NLM_F_CREATE | NLM_F_EXCL)?;

    let mut template = UserTemplate { reqid: REQUEST, mode, ..UserTemplate::default() };
    template.source(&aim.source);
    template.destination(&aim.target.ip());
    template.id.proto = ESP;
    let mut rule = policy::ModifyMessage::default();
    let info = &mut rule.user_policy_info;
    info.selector.destination_prefix(&inner, aim.by_family(32, 128));
    info.selector.proto = bytes::UDP;
    info.direction = XFRM_POLICY_OUT;
    rule.nlas = vec![XfrmAttrs::Template(vec![template])];
    channel.request(XfrmMessage::AddPolicy(rule), NLM_F_CREATE | NLM_F_EXCL)
}

/// Takes all policies and states of the namespace away.
fn clear(channel: &mut Channel) -> Result<()> {
    channel.request(XfrmMessage::FlushPolicy(policy::FlushMessage::default()), 0)?;
    channel.request(XfrmMessage::FlushSa(state::FlushMessage { protocol: ESP }), 0)
}

fn algorithm(name: &str, key: &[u8]) -> Alg {
    let mut alg_name = [0; 64];
    alg_name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    Alg { alg_name, alg_key_len: key.len() as u32 * 8, alg_key: key.to_vec() }
}
