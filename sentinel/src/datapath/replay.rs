//! Packets through the kernel's own reader by `BPF_PROG_TEST_RUN`, without a network.

use std::collections::HashSet;

use aya::maps::{HashMap, MapData};
use aya::programs::{CgroupSkb, TestRun as _, TestRunOptions};
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::Start;
use sentinel_common::signature::Signatures;

use super::{Datapath as _, DatapathError, Kernel, OpenError, PolicySet};
use crate::replay::{Engine, EngineError, FlowId, MODES, Outcome};

/// `struct __sk_buff` as far as the control buffer (include/uapi/linux/bpf.h).
const CONTEXT: usize = 192;
const CONTROL: usize = 48;
/// A test run wants an Ethernet header before the IP header, and takes it off again.
const ETHERNET: usize = 14;
/// The program that judges a replayed packet.
const PROGRAM: &str = "replay";

/// The reader in the kernel, with flows of its own.
pub struct KernelEngine {
    kernel: Kernel,
    open: HashSet<FlowId>,
}

impl KernelEngine {
    /// Loads the program and the signature set. A match blocks.
    ///
    /// # Errors
    /// When this host cannot run the programs.
    pub fn new(signatures: &Signatures) -> Result<Self, OpenError> {
        let mut kernel = Kernel::load()?;
        kernel.load_program(PROGRAM)?;
        let policy = PolicySet { modes: MODES, prefixes: Vec::new() };
        kernel
            .set_signatures(signatures)
            .and_then(|()| kernel.set_policy(&policy))
            .map_err(|error| OpenError::refused("the replay's configuration", &error))?;
        Ok(Self { kernel, open: HashSet::new() })
    }

    /// Runs one IP packet (from its IP header on) and returns the flow's state after it.
    ///
    /// # Errors
    /// When the kernel refuses the packet (shorter than 20 bytes, or longer than a page), or as many
    /// flows as fit are being replayed.
    pub fn run(
        &mut self,
        flow: FlowId,
        direction: Direction,
        start: Start,
        packet: &[u8],
    ) -> Result<Flow, DatapathError> {
        if !self.open.contains(&flow) {
            let result = self.flows()?.insert(flow, Flow::NEW, 0);
            result.map_err(|error| DatapathError::map("REPLAY", "a flow", &error))?;
            self.open.insert(flow);
        }
        let frame = frame(packet);
        let context = context(flow, direction, start);
        let program: &CgroupSkb =
            self.kernel.ebpf().program(PROGRAM).and_then(|program| program.try_into().ok()).ok_or(
                DatapathError::Map { map: "REPLAY", what: "a run", why: "no program".to_owned() },
            )?;
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        program
            .test_run(options)
            .map_err(|error| DatapathError::map("REPLAY", "a packet", &error))?;
        let state = self.flows()?.get(&flow, 0);
        state.map_err(|error| DatapathError::map("REPLAY", "a read", &error))
    }

    fn flows(&mut self) -> Result<HashMap<&mut MapData, u32, Flow>, DatapathError> {
        let missing = || DatapathError::Map {
            map: "REPLAY",
            what: "everything",
            why: "no such map".to_owned(),
        };
        let map = self.kernel.ebpf().map_mut("REPLAY").ok_or_else(missing)?;
        HashMap::try_from(map).map_err(|error| DatapathError::map("REPLAY", "to be opened", &error))
    }
}

impl Engine for KernelEngine {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn packet(
        &mut self,
        flow: FlowId,
        direction: Direction,
        ip_packet: &[u8],
        start: Start,
    ) -> Result<Outcome, EngineError> {
        let state = self.run(flow, direction, start, ip_packet)?;
        Ok(Outcome::of(&state))
    }

    fn forget(&mut self, flow: FlowId) {
        if self.open.remove(&flow)
            && let Ok(mut flows) = self.flows()
            && let Err(error) = flows.remove(&flow)
        {
            tracing::debug!("flow {flow} could not be forgotten: {error}");
        }
    }
}

fn frame(packet: &[u8]) -> Vec<u8> {
    let version = packet.first().map_or(4, |byte| byte >> 4);
    let ether_type: [u8; 2] = if version == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let mut frame = Vec::with_capacity(ETHERNET + packet.len());
    frame.extend_from_slice(&[0; ETHERNET - 2]);
    frame.extend_from_slice(&ether_type);
    frame.extend_from_slice(packet);
    frame
}

fn context(flow: u32, direction: Direction, start: Start) -> [u8; CONTEXT] {
    let mut context = [0; CONTEXT];
    let words = [flow, direction as u32, start as u32];
    let (_, control) = context.split_at_mut(CONTROL);
    for (slot, word) in control.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_ne_bytes());
    }
    context
}
