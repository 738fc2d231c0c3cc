//! Counting and telling. Counters are the truth; the ring buffer only explains.

use sentinel_common::event::Event;
use sentinel_common::learn::Lesson;
use sentinel_common::verdict::{
    Loss, Reason, Verdict, lesson_counter, loss_counter, outcome_counter,
};

use crate::context;
use crate::maps::{COUNTS, EVENTS};

/// Counts a packet or a call with this outcome.
#[inline(always)]
pub fn count(reason: Reason, verdict: Verdict) {
    add(outcome_counter(reason, verdict));
}

/// Counts the outcome that a flow carries as wire values.
#[inline(always)]
pub fn count_wire(reason: u8, verdict: u8) {
    add(u32::from(reason) * Verdict::COUNT as u32 + u32::from(verdict));
}

/// Counts a loss, exactly.
#[inline(always)]
pub fn lose(loss: Loss) {
    if let Some(slot) = COUNTS.get_ptr_mut(loss_counter(loss)) {
        context::increment_exactly(slot);
    }
}

/// Counts what became of an answer, exactly.
#[inline(always)]
pub fn taught(lesson: Lesson) {
    if let Some(slot) = COUNTS.get_ptr_mut(lesson_counter(lesson)) {
        context::increment_exactly(slot);
    }
}

#[inline(always)]
fn add(index: u32) {
    if let Some(slot) = COUNTS.get_ptr_mut(index) {
        context::increment(slot);
    }
}

/// Tells userspace. `write` gets a zeroed record with the time set.
#[inline(always)]
pub fn tell(write: impl FnOnce(&mut Event)) {
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        lose(Loss::Event);
        return;
    };
    let event = context::zeroed(&mut entry);
    event.time = context::now();
    write(event);
    entry.submit(0);
}
