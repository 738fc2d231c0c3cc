//! The reader as the verifier can bear it: functions of their own, each checked once.
//!
//! A *global* function (exported, not inlined; kernels since 5.6, commit 51c39bb1d5d1) is verified
//! with unknown arguments instead of at every call. Inlined, a chunk's 128 bytes times 128 chunks
//! would be a million instructions; like this a whole hook is about two hundred thousand.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::frame;
use sentinel_common::limits::CHUNK;
use sentinel_common::place;
use sentinel_common::segment::{self, Part, Piece, ROUNDS, STEPS, Segment, Source, Step, outcome};
use sentinel_common::signature::NO_RULE;
use sentinel_common::stream::{Calls, Reader};
use sentinel_common::verdict::Loss;

use crate::context::{self, Chunk, Skb};
use crate::emit::lose;
use crate::maps::{REPLAY, SIGNATURES};
use crate::name::{gather_name, judge_name};

struct InKernel {
    skb: Skb,
    slot: u64,
    /// Whether names are gathered: see [`gathers_names`].
    names: bool,
}

/// Whether names of this direction are gathered. Of a socket one name is kept, the one that it says
/// itself: were the other side's words put into it, a server could finish the name of its client. A
/// replayed packet has no socket to keep a name by.
#[inline(always)]
const fn gathers_names<P: Place>(direction: u64) -> bool {
    !P::REPLAYED && direction & 1 == Direction::Egress as u64
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

impl Segment for InKernel {
    #[inline(always)]
    fn feed(&self, frame: u64, last: u64) -> u64 {
        frame_feed(frame, last)
    }
    #[inline(always)]
    fn advance(&self, frame: u64, before: u64, now: u64) -> u64 {
        frame_advance(frame, before, now)
    }
    #[inline(always)]
    fn fill(&self, offset: u32, end: u32, chunk: &mut [u8; CHUNK]) -> Option<usize> {
        let len = self.skb.chunk(u64::from(offset), u64::from(end), chunk);
        if len.is_none() {
            lose(Loss::Payload);
        }
        len
    }
    #[inline(always)]
    fn name(&self, offset: u32, len: u32, piece: Piece) {
        if self.names {
            gather_name(self.skb.0, u64::from(offset), u64::from(len), piece as u64);
        }
    }
    #[inline(always)]
    fn judge_name(&self, source: Source) -> u32 {
        if self.names { judge_name(self.skb.0, source as u64) } else { NO_RULE }
    }
}

/// [`frame::feed`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn frame_feed(frame: u64, last: u64) -> u64 {
    frame::feed(frame, last)
}

/// [`place::act`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn lexer_act(place: u64, cell: u64, byte: u64) -> u64 {
    place::act(place, cell, byte)
}

/// [`frame::advance`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn frame_advance(frame: u64, before: u64, now: u64) -> u64 {
    frame::advance(frame, before, now)
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

/// State of a replayed flow.
#[inline(always)]
pub fn replayed(number: u32) -> Option<&'static mut Flow> {
    context::value(REPLAY.get_ptr_mut(number))
}

/// Where a function of this module finds a flow: on the packet's socket, or among the replayed ones
/// by the control buffer's first word.
trait Place {
    const REPLAYED: bool;
    fn flow(skb: Skb) -> Option<&'static mut Flow>;
}

struct OnSocket;
struct Replayed;

impl Place for OnSocket {
    const REPLAYED: bool = false;
    #[inline(always)]
    fn flow(skb: Skb) -> Option<&'static mut Flow> {
        skb.socket().and_then(|socket| socket.flow())
    }
}

impl Place for Replayed {
    const REPLAYED: bool = true;
    #[inline(always)]
    fn flow(skb: Skb) -> Option<&'static mut Flow> {
        replayed(skb.control(0))
    }
}

/// Declares the steps through a segment as functions that the verifier checks once each, for flows
/// in one place. Offsets are into the packet; each returns a [`Step`].
macro_rules! steps {
    ($place:ty, $messages:ident, $run:ident, $header:ident, $segment:ident) => {
        /// [`segment::messages`].
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $messages(
            ctx: *mut __sk_buff,
            offset: u64,
            end: u64,
            direction: u64,
            slot: u64,
        ) -> u32 {
            messages::<$place>(Skb(ctx), offset, end, direction, slot).0
        }

        /// [`segment::run`].
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $run(ctx: *mut __sk_buff, offset: u64, end: u64, direction: u64) -> u32 {
            run::<$place>(Skb(ctx), offset, end, direction).0
        }

        /// [`segment::header`].
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $header(
            ctx: *mut __sk_buff,
            offset: u64,
            end: u64,
            direction: u64,
        ) -> u32 {
            header::<$place>(Skb(ctx), offset, end, direction).0
        }

        /// Reads a segment's payload, the packet's bytes from `from` to `end`; returns one of
        /// [`outcome`].
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $segment(
            ctx: *mut __sk_buff,
            from: u64,
            end: u64,
            direction: u64,
            slot: u64,
        ) -> u32 {
            let Some(flow) = <$place>::flow(Skb(ctx)) else {
                return outcome::STOP;
            };
            let reader = &mut flow.readers[(direction & 1) as usize];
            steps(reader, from, end, |part, offset| {
                if part == Part::Messages as u32 {
                    $messages(ctx, offset, end, direction, slot)
                } else if part == Part::Run as u32 {
                    $run(ctx, offset, end, direction)
                } else {
                    $header(ctx, offset, end, direction)
                }
            })
        }
    };
}

steps!(OnSocket, read_messages, read_run, read_header, read_segment);
steps!(Replayed, replay_messages, replay_run, replay_header, replay_segment);

#[inline(always)]
fn messages<P: Place>(skb: Skb, offset: u64, end: u64, direction: u64, slot: u64) -> Step {
    let (Some(flow), Some(signatures)) = (P::flow(skb), SIGNATURES.get(slot as u32)) else {
        return Step::FAILED;
    };
    let mut room = Chunk::new();
    let index = (direction & 1) as usize;
    let said = flow.readers[index ^ 1].said_under(flow.readers[index].table());
    let reader = &mut flow.readers[index];
    let surroundings = InKernel { skb, slot, names: gathers_names::<P>(direction) };
    let place = (offset as u32, end as u32);
    segment::messages(reader, said, signatures, place, room.zeroed(), &surroundings)
}

#[inline(always)]
fn run<P: Place>(skb: Skb, offset: u64, end: u64, direction: u64) -> Step {
    let Some(flow) = P::flow(skb) else {
        return Step::FAILED;
    };
    let index = (direction & 1) as usize;
    let peer = flow.readers[index ^ 1].bytes;
    let reader = &mut flow.readers[index];
    let surroundings = InKernel { skb, slot: 0, names: gathers_names::<P>(direction) };
    segment::run(reader, peer, (offset as u32, end as u32), &surroundings)
}

#[inline(always)]
fn header<P: Place>(skb: Skb, offset: u64, end: u64, direction: u64) -> Step {
    let Some(flow) = P::flow(skb) else {
        return Step::FAILED;
    };
    let mut room = Chunk::new();
    let reader = &mut flow.readers[(direction & 1) as usize];
    let surroundings = InKernel { skb, slot: 0, names: gathers_names::<P>(direction) };
    segment::header(reader, (offset as u32, end as u32), room.zeroed(), &surroundings)
}

#[inline(always)]
fn steps(reader: &mut Reader, from: u64, end: u64, read: impl Fn(u32, u64) -> u32) -> u32 {
    let mut offset = from;
    let mut part = Part::of(reader.frame()) as u32;
    let mut count = 0;
    while count < STEPS {
        if offset >= end {
            return outcome::NONE;
        }
        let before = context::look(&reader.bytes);
        let step = Step(read(part, offset));
        if step.outcome() != outcome::NONE {
            return step.outcome();
        }
        offset += u64::from(context::look(&reader.bytes).wrapping_sub(before));
        part = step.next();
        count += 1;
    }
    outcome::MORE
}

/// Reads a segment by `read`, which reads on from an offset, as often as it takes.
#[inline(always)]
pub fn rounds(flow: &Flow, direction: Direction, from: u64, read: impl Fn(u64) -> u32) -> u32 {
    let bytes = &flow.readers[direction as usize].bytes;
    let before = context::look(bytes);
    let mut found = outcome::MORE;
    let mut round = 0;
    while round < ROUNDS {
        let taken = context::look(bytes).wrapping_sub(before);
        found = read(from + u64::from(taken));
        if found != outcome::MORE {
            break;
        }
        round += 1;
    }
    if found == outcome::MORE {
        lose(Loss::LongMessage);
    }
    found
}
