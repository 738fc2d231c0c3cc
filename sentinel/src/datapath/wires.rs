//! The program at the host's ends of workloads' wires.

use std::collections::HashMap;

use aya::Ebpf;
use aya::maps::{HashMap as KernelMap, MapData};
use aya::programs::tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions, TcError};
use aya::programs::{LinkOrder, ProgramError, ProgramInfo, SchedClassifier, TcAttachType, tc};
use sentinel_common::wire::Wire;

use super::{Attachment, DatapathError, WireEnd, object, platform};
use crate::event::hook::{Defect, Finding, Inspection};
use crate::watch::links;

const PROGRAM: &str = "wire";
const MAP: &str = "WIRES";
/// Before the filters of others, most of whom let pass what they do not know.
const PRIORITY: u16 = 1;

/// Where it is attached.
#[derive(Default)]
pub(super) struct Wires {
    attached: HashMap<u32, (WireEnd, SchedClassifierLinkId)>,
    is_loaded: bool,
}

impl Wires {
    /// What status tells of it.
    pub(super) fn attachment(&self) -> Option<Attachment> {
        let count = self.attached.len();
        let note = (!platform::has_tcx())
            .then(|| "as a filter, which stays where the agent is killed".to_owned());
        let target = format!("the host's end of {count} wires");
        (count > 0).then(|| Attachment { program: PROGRAM.to_owned(), target, note })
    }

    /// Judges at these ends and no others. An interface that is gone took its program along.
    pub(super) fn set(
        &mut self,
        ebpf: &mut Ebpf,
        wires: &[WireEnd],
    ) -> Result<Vec<(u32, DatapathError)>, DatapathError> {
        if !self.is_loaded && !wires.is_empty() {
            object::load(ebpf, PROGRAM).map_err(|error| DatapathError::wire("any", &error))?;
            self.is_loaded = true;
        }
        let gone: Vec<u32> = self
            .attached
            .iter()
            .filter(|(_, (known, _))| !wires.iter().any(|wire| wire.is_at(known)))
            .map(|(index, _)| *index)
            .collect();
        for index in gone {
            self.detach(ebpf, index)?;
        }
        let mut refused = Vec::new();
        for wire in wires {
            let known = self.attached.get(&wire.index).map(|(known, _)| known == wire);
            let done = match known {
                None => self.attach(ebpf, wire),
                Some(true) => Ok(()),
                Some(false) => self.enter(ebpf, wire),
            };
            if let Err(error) = done {
                refused.push((wire.index, error));
            }
        }
        Ok(refused)
    }

    /// Puts the program back where somebody has taken it off.
    pub(super) fn inspect(&mut self, ebpf: &mut Ebpf, found: &mut Inspection) {
        let defect = Defect { program: PROGRAM, finding: Finding::Detached };
        let ours = program(ebpf).and_then(|program| Ok(program.info()?.id()));
        let Ok(ours) = ours else { return };
        let ends: Vec<WireEnd> = self.attached.values().map(|(end, _)| end.clone()).collect();
        for end in ends {
            // One that cannot be asked is gone, which the next list of interfaces tells.
            if there(&end).is_none_or(|programs| programs.contains(&ours)) {
                continue;
            }
            tracing::warn!("the program at the end of the wire {} was taken off", end.name);
            self.let_go(ebpf, end.index);
            found.mended(defect, self.attach(ebpf, &end));
        }
    }

    fn attach(&mut self, ebpf: &mut Ebpf, wire: &WireEnd) -> Result<(), DatapathError> {
        // First the entry: a program without one judges nothing.
        write(ebpf, wire)?;
        let link = program(ebpf)
            .and_then(|program| attach(program, &wire.name))
            .map_err(|error| DatapathError::wire(&wire.name, &error))?;
        self.attached.insert(wire.index, (wire.clone(), link));
        Ok(())
    }

    /// Others are at the other end now.
    fn enter(&mut self, ebpf: &mut Ebpf, wire: &WireEnd) -> Result<(), DatapathError> {
        write(ebpf, wire)?;
        if let Some((known, _)) = self.attached.get_mut(&wire.index) {
            *known = wire.clone();
        }
        Ok(())
    }

    fn let_go(&mut self, ebpf: &mut Ebpf, index: u32) {
        if let Some((_, link)) = self.attached.remove(&index)
            && let Ok(program) = program(ebpf)
            && let Err(error) = program.detach(link)
        {
            // Most often the interface is gone, or somebody was faster.
            tracing::debug!("a wire was not let go: {error}");
        }
    }

    fn detach(&mut self, ebpf: &mut Ebpf, index: u32) -> Result<(), DatapathError> {
        self.let_go(ebpf, index);
        match entries(ebpf)?.remove(&index) {
            Ok(()) | Err(aya::maps::MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(DatapathError::map(MAP, "a removal", &error)),
        }
    }
}

fn write(ebpf: &mut Ebpf, wire: &WireEnd) -> Result<(), DatapathError> {
    let value = Wire { cgroups: wire.cgroups, namespace: wire.namespace, told: 0 };
    let mut entries = entries(ebpf)?;
    entries.insert(wire.index, value, 0).map_err(|error| DatapathError::map(MAP, "a wire", &error))
}

fn entries(ebpf: &mut Ebpf) -> Result<KernelMap<&mut MapData, u32, Wire>, DatapathError> {
    let map = ebpf.map_mut(MAP).ok_or_else(|| DatapathError::absent(MAP))?;
    KernelMap::try_from(map).map_err(|error| DatapathError::map(MAP, "to be opened", &error))
}

fn program(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, ProgramError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(ProgramError::UnexpectedProgramType)?;
    program.try_into()
}

/// Numbers of all programs at this end.
fn there(end: &WireEnd) -> Option<Vec<u32>> {
    if !platform::has_tcx() {
        return links::ingress_filters(end.index).ok();
    }
    let (_, programs) = SchedClassifier::query_tcx(&end.name, TcAttachType::Ingress).ok()?;
    Some(programs.iter().map(ProgramInfo::id).collect())
}

/// By a link where the kernel has one for traffic control, which goes with the agent; by a filter
/// elsewhere, which an agent that was killed leaves behind.
fn attach(
    program: &mut SchedClassifier,
    interface: &str,
) -> Result<SchedClassifierLinkId, ProgramError> {
    if platform::has_tcx() {
        let first = TcAttachOptions::TcxOrder(LinkOrder::first());
        return program.attach_with_options(interface, TcAttachType::Ingress, first);
    }
    if tc::qdisc_add_clsact(interface).is_err() {
        // It was there: perhaps with what an agent before this one left in it.
        drop(tc::qdisc_detach_program(interface, TcAttachType::Ingress, PROGRAM));
    }
    let options = NlOptions { priority: PRIORITY, ..NlOptions::default() };
    let attached = program.attach_with_options(
        interface,
        TcAttachType::Ingress,
        TcAttachOptions::Netlink(options),
    );
    attached.map_err(|error| match error {
        ProgramError::TcError(TcError::AlreadyAttached) => ProgramError::AlreadyAttached,
        other => other,
    })
}
