//! Packets through the kernel's own reader by `BPF_PROG_TEST_RUN`, without a network.

use std::collections::HashSet;
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData};
use aya::programs::{CgroupSkb, TestRun as _, TestRunOptions};
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::Start;
use sentinel_common::signature::Signatures;

use super::{Datapath as _, DatapathError, Kernel, OpenError, PolicyImage, object};
use crate::replay::{Engine, EngineError, FlowId, MODES, Outcome};

/// `struct __sk_buff` as far as the control buffer (include/uapi/linux/bpf.h).
const CONTEXT: usize = 192;
const CONTROL: usize = 48;
/// A test run wants an Ethernet header before the IP header, and takes it off again.
const ETHERNET: usize = 14;
/// The program that judges a replayed packet.
const PROGRAM: &str = "replay";

impl Kernel {
    /// Loads a program that is run by hand (`replay`, benchmarks, tests).
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn load_program(&mut self, name: &str) -> Result<(), OpenError> {
        object::load(&mut self.ebpf, name)
    }

    /// The aya object, for what runs programs by hand.
    pub const fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

/// The reader in the kernel, with flows of its own.
pub struct KernelEngine {
    kernel: Kernel,
    judge: Judge,
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
        let policy = Arc::new(PolicyImage::empty(MODES));
        let judge = kernel
            .set_signatures(signatures)
            .and_then(|_| kernel.set_policy(&policy))
            .and_then(|_| Judge::of(&mut kernel))
            .map_err(|error| OpenError::refused("the replay's configuration", &error))?;
        Ok(Self { kernel, judge, open: HashSet::new() })
    }

    /// Replaces the signature set while packets may be judged; returns the new set's number.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn swap(&mut self, signatures: &Signatures) -> Result<u32, DatapathError> {
        self.kernel.set_signatures(signatures)
    }

    /// The same program and flows, for another thread.
    ///
    /// # Errors
    /// When the kernel gives no second handle.
    pub fn judge(&mut self) -> Result<Judge, DatapathError> {
        Judge::of(&mut self.kernel)
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
            self.judge.open(flow)?;
            self.open.insert(flow);
        }
        self.judge.run(flow, direction, start, packet)
    }
}

/// A handle on the program that judges replayed packets, and on its flows.
pub struct Judge {
    program: CgroupSkb,
    flows: HashMap<MapData, u32, Flow>,
}

impl Judge {
    fn of(kernel: &mut Kernel) -> Result<Self, DatapathError> {
        let refused =
            |error: &dyn std::error::Error| DatapathError::map("REPLAY", "a handle", error);
        let program: Option<&CgroupSkb> =
            kernel.ebpf().program(PROGRAM).and_then(|program| program.try_into().ok());
        let program = program.ok_or_else(|| missing("no such program"))?;
        let info = program.info().map_err(|error| refused(&error))?;
        let program = CgroupSkb::from_program_info(info, PROGRAM.into(), None)
            .map_err(|error| refused(&error))?;
        let Some(Map::HashMap(data)) = kernel.ebpf().map("REPLAY") else {
            return Err(missing("no such map"));
        };
        let id = data.info().map_err(|error| refused(&error))?.id();
        let data = MapData::from_id(id).map_err(|error| refused(&error))?;
        let flows = HashMap::try_from(Map::HashMap(data)).map_err(|error| refused(&error))?;
        Ok(Self { program, flows })
    }

    /// Begins a flow.
    ///
    /// # Errors
    /// When as many flows as fit are being replayed.
    pub fn open(&mut self, flow: FlowId) -> Result<(), DatapathError> {
        let result = self.flows.insert(flow, Flow::NEW, 0);
        result.map_err(|error| DatapathError::map("REPLAY", "a flow", &error))
    }

    /// Runs one IP packet of a flow that was begun, and returns the flow's state after it.
    ///
    /// # Errors
    /// When the kernel refuses the packet, or there is no such flow.
    pub fn run(
        &self,
        flow: FlowId,
        direction: Direction,
        start: Start,
        packet: &[u8],
    ) -> Result<Flow, DatapathError> {
        let frame = frame(packet);
        let context = context(flow, direction, start);
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        self.program
            .test_run(options)
            .map_err(|error| DatapathError::map("REPLAY", "a packet", &error))?;
        let state = self.flows.get(&flow, 0);
        state.map_err(|error| DatapathError::map("REPLAY", "a read", &error))
    }

    /// Forgets a flow.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn forget(&mut self, flow: FlowId) -> Result<(), DatapathError> {
        let result = self.flows.remove(&flow);
        result.map_err(|error| DatapathError::map("REPLAY", "a removal", &error))
    }
}

fn missing(why: &str) -> DatapathError {
    DatapathError::Map { map: "REPLAY", what: "everything", why: why.to_owned() }
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
            && let Err(error) = self.judge.forget(flow)
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
