//! What judges the packets of a replay.

use sentinel_common::config::Modes;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::Start;
use sentinel_common::signature::NO_RULE;
use sentinel_common::verdict::{Mode, Reason, Verdict};

/// A flow's number, its own within one [`super::run`].
pub type FlowId = u32;

/// Payload bytes of a packet handed to an engine, at most: `BPF_PROG_TEST_RUN` takes a page less
/// what the kernel keeps for itself (net/bpf/test_run.c, `bpf_test_init`).
pub const MAX_PAYLOAD: usize = 3000;

/// What a replay looks for: what payload tells, but names, which only feeds give a meaning.
pub const MODES: Modes = Modes { stratum: Mode::Enforce, peer_to_peer: Mode::Audit, ..Modes::OFF };

/// Whatever an engine may fail with.
pub type EngineError = Box<dyn std::error::Error + Send + Sync>;

/// What is known of a flow after a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What would become of the packet.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The rule of the signature set, or [`NO_RULE`].
    pub rule: u32,
}

impl Outcome {
    /// Nothing spoke against the packet.
    pub const UNREMARKABLE: Self =
        Self { verdict: Verdict::Allowed, reason: Reason::Unremarkable, rule: NO_RULE };

    /// What a flow's state says, whichever engine keeps it.
    #[must_use]
    pub fn of(flow: &Flow) -> Self {
        Self {
            verdict: Verdict::from_wire(flow.verdict).unwrap_or(Verdict::Allowed),
            reason: Reason::from_wire(flow.reason).unwrap_or(Reason::Unremarkable),
            rule: if flow.rule == Flow::NO_RULE { NO_RULE } else { u32::from(flow.rule) },
        }
    }
}

/// A reader of packets that keeps state by flow.
pub trait Engine {
    /// What to call it in messages.
    fn name(&self) -> &'static str;

    /// Judges one packet, from its IP header on: TCP or UDP, whole, at most [`MAX_PAYLOAD`] bytes of
    /// payload, in the order of its direction's stream where the capture tells. `start` says whether
    /// its first payload byte is the stream's first.
    ///
    /// # Errors
    /// When the engine itself fails; a packet that is not understood is no error.
    fn packet(
        &mut self,
        flow: FlowId,
        direction: Direction,
        ip_packet: &[u8],
        start: Start,
    ) -> Result<Outcome, EngineError>;

    /// The flow is over: its state can go.
    fn forget(&mut self, flow: FlowId);
}
