//! The reader as the verifier can bear it: functions of their own, each checked once.
//!
//! A *global* function (exported, not inlined; kernels since 5.6, commit 51c39bb1d5d1) is verified
//! with unknown arguments instead of at every call. Inlined, a chunk's 128 bytes times 128 chunks
//! would be a million instructions; like this a whole hook is about two hundred thousand.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::flow::Flow;
use sentinel_common::inspect::STOP;
use sentinel_common::limits::{CHUNK, MESSAGE_BUDGET};
use sentinel_common::place;
use sentinel_common::signature::NO_RULE;
use sentinel_common::stream::{self, Calls};
use sentinel_common::verdict::Loss;

use crate::context::{self, Chunk, Skb};
use crate::emit::lose;
use crate::maps::SIGNATURES;

struct InKernel {
    slot: u64,
}

impl Calls for InKernel {
    #[inline(always)]
    fn act(&self, place: u64, cell: u64, byte: u64) -> u64 {
        lexer_act(place, cell, byte)
    }
    #[inline(always)]
    fn rule_matching(&self, message: u64, said: u64, peer: u64) -> u32 {
        rule_matching(message, said, peer, self.slot)
    }
}

/// [`place::act`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lexer_act(place: u64, cell: u64, byte: u64) -> u64 {
    place::act(place, cell, byte)
}

/// The rule of the signature set in `slot` that these tokens satisfy.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rule_matching(message: u64, said: u64, peer: u64, slot: u64) -> u32 {
    match SIGNATURES.get(slot as u32) {
        Some(signatures) => signatures.rule_matching(message, said, peer),
        None => NO_RULE,
    }
}

/// Reads the chunk at `offset` of a packet that ends at `end`, for the flow on its socket.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_chunk(
    ctx: *mut __sk_buff,
    offset: u64,
    end: u64,
    direction: u64,
    slot: u64,
) -> u32 {
    match Skb(ctx).socket().and_then(|socket| socket.flow()) {
        Some(flow) => chunk_into(Skb(ctx), flow, offset, end, direction, slot),
        None => STOP,
    }
}

/// The same for a replayed flow, whose number is the control buffer's first word.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_chunk_replay(
    ctx: *mut __sk_buff,
    offset: u64,
    end: u64,
    direction: u64,
    slot: u64,
) -> u32 {
    match context::replayed(Skb(ctx).control(0)) {
        Some(flow) => chunk_into(Skb(ctx), flow, offset, end, direction, slot),
        None => STOP,
    }
}

#[inline(always)]
fn chunk_into(skb: Skb, flow: &mut Flow, offset: u64, end: u64, direction: u64, slot: u64) -> u32 {
    let Some(signatures) = SIGNATURES.get(slot as u32) else {
        return STOP;
    };
    let mut room = Chunk::new();
    let chunk = room.zeroed();
    let Some(len) = skb.chunk(offset, end, chunk) else {
        lose(Loss::Payload);
        return STOP;
    };
    let index = (direction & 1) as usize;
    let peer = flow.readers[index ^ 1].said_under(flow.readers[index].table);
    let reader = &mut flow.readers[index];
    let found = stream::read(reader, signatures, peer, chunk, len, &InKernel { slot });
    if found != NO_RULE {
        return found;
    }
    reader.keep_to_budget();
    if reader.is_stopped() { STOP } else { NO_RULE }
}

/// Reads a segment's payload, the packet's bytes from `from` to `end`, for the flow on its socket:
/// a rule, [`STOP`], or [`NO_RULE`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_segment(
    ctx: *mut __sk_buff,
    from: u64,
    end: u64,
    direction: u64,
    slot: u64,
) -> u32 {
    chunks(from, end, |offset| read_chunk(ctx, offset, end, direction, slot))
}

/// The same for a replayed flow.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_segment_replay(
    ctx: *mut __sk_buff,
    from: u64,
    end: u64,
    direction: u64,
    slot: u64,
) -> u32 {
    chunks(from, end, |offset| read_chunk_replay(ctx, offset, end, direction, slot))
}

#[inline(always)]
fn chunks(from: u64, end: u64, read: impl Fn(u64) -> u32) -> u32 {
    let mut offset = from;
    let mut count = 0;
    while count < MESSAGE_BUDGET as usize / CHUNK {
        if offset >= end {
            return NO_RULE;
        }
        let outcome = read(offset);
        if outcome != NO_RULE {
            return outcome;
        }
        offset += CHUNK as u64;
        count += 1;
    }
    lose(Loss::LongMessage);
    STOP
}
