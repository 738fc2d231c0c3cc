//! What is kept on sockets.

use aya_ebpf::bindings::BPF_LOCAL_STORAGE_GET_F_CREATE;
use sentinel_common::flow::Flow;
use sentinel_common::learn::Kept;

use crate::context::{Skb, Socket};
use crate::maps::{FLOWS, STREAMS};

/// Makes what is not there yet.
const CREATE: u64 = BPF_LOCAL_STORAGE_GET_F_CREATE as u64;

impl Skb {
    /// The state of the packet's flow: the helper refuses request and time-wait sockets itself.
    #[inline(always)]
    pub fn flow(self) -> Option<&'static mut Flow> {
        self.any_socket()?.flow()
    }
}

impl Socket {
    /// The flow's state, if it has some.
    #[inline(always)]
    pub fn flow(self) -> Option<&'static mut Flow> {
        self.storage((&raw const FLOWS).cast(), 0)
    }

    /// The flow's state, made if need be; none when memory is short.
    #[inline(always)]
    pub fn flow_or_new(self) -> Option<&'static mut Flow> {
        self.storage((&raw const FLOWS).cast(), CREATE)
    }

    /// Where the socket's stream of names stands, made if need be.
    #[inline(always)]
    pub fn stream_or_new(self) -> Option<&'static mut [Kept; 2]> {
        self.storage((&raw const STREAMS).cast(), CREATE)
    }
}
