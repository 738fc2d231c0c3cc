//! Whether the hooks are still where they were put. Who has `CAP_SYS_ADMIN` may detach any link and
//! unlink any pin, and nothing prevents that; here it is noticed and put right.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use aya::programs::links::FdLink;
use aya::programs::loaded_programs;

use super::{Kernel, OpenError, attach, lsm, sys};
use crate::event::hook::{Defect, Finding, Inspection, Other};

/// `BPF_LSM_CGROUP` of the same: all hooks of security modules on a cgroup are one.
const LSM: u32 = 43;

/// What is known from looks before.
#[derive(Default)]
pub(super) struct Vigil {
    /// Links that were made because those before had been detached.
    restored: Vec<FdLink>,
    /// Programs of others, by hook and number, with their names.
    others: BTreeSet<Other>,
}

impl Kernel {
    pub(super) fn inspect_hooks(&mut self) -> Inspection {
        let mut found = Inspection::default();
        if self.cgroup.as_os_str().is_empty() || self.awaits_links {
            return found;
        }
        let directory = match self.watched() {
            Ok(directory) => directory,
            Err(error) => {
                let gone = Defect { program: "egress", finding: Finding::CgroupGone };
                let why = format!(
                    "{}: {error}; make it again or restart the agent with another --cgroup",
                    self.cgroup.display()
                );
                found.broken.insert(gone, why);
                return found;
            }
        };
        for (program, attach_type) in attach::HOOKS {
            let others = self.inspect_one(program, attach_type, &directory, &mut found);
            found.others.extend(others.into_iter().map(|id| self.other(program, id)));
        }
        if self.has_lsm() && self.sockets_gap.is_none() {
            self.inspect_one(lsm::HOOK, LSM, &directory, &mut found);
        }
        self.wires.inspect(&mut self.ebpf, &mut found);
        self.inspect_pins(&mut found);
        self.ask_canary(&mut found);
        self.vigil.others.clone_from(&found.others);
        found
    }

    /// The cgroup, if it is the one that was attached to.
    fn watched(&self) -> io::Result<File> {
        let directory = File::open(&self.cgroup)?;
        let now = directory.metadata()?.ino();
        if now == self.cgroup_id {
            return Ok(directory);
        }
        Err(io::Error::other("another cgroup has its name now"))
    }

    /// Puts a hook right; numbers of the other programs there.
    fn inspect_one(
        &mut self,
        program: &'static str,
        attach_type: u32,
        directory: &File,
        found: &mut Inspection,
    ) -> Vec<u32> {
        let defect = Defect { program, finding: Finding::Detached };
        let Some(ours) = self.id_of(program) else { return Vec::new() };
        let ids = match sys::programs_on(directory.as_fd(), attach_type) {
            Ok(ids) => ids,
            Err(error) => {
                found.broken.insert(defect, error.to_string());
                return Vec::new();
            }
        };
        if !ids.contains(&ours) {
            found.mended(defect, self.put_back(program, directory));
        }
        ids.into_iter().filter(|id| *id != ours).collect()
    }

    fn id_of(&self, program: &str) -> Option<u32> {
        Some(self.ebpf.program(program)?.info().ok()?.id())
    }

    fn put_back(&mut self, program: &'static str, directory: &File) -> Result<(), OpenError> {
        if self.pins.is_some() {
            return self.put_link(program, directory);
        }
        let link = attach::link(&mut self.ebpf, program, directory)?;
        self.vigil.restored.push(link);
        Ok(())
    }

    fn other(&self, program: &'static str, id: u32) -> Other {
        let mut known = self.vigil.others.iter();
        if let Some(other) = known.find(|other| other.id == id && other.program == program) {
            return other.clone();
        }
        let mut programs = loaded_programs().filter_map(Result::ok);
        let about = programs.find(|info| info.id() == id);
        let name = about.as_ref().and_then(|info| info.name_as_str()).unwrap_or_default();
        Other { program, id, name: name.to_owned() }
    }

    fn inspect_pins(&self, found: &mut Inspection) {
        let Some(pins) = &self.pins else { return };
        let programs = attach::HOOKS.map(|(program, _)| program);
        for (program, link) in programs.iter().chain([&lsm::HOOK]).zip(&self.links) {
            let path = pins.link(program);
            if path.exists() {
                continue;
            }
            let defect = Defect { program, finding: Finding::Unpinned };
            let pinned = sys::pin(link.as_fd(), &path);
            found.mended(defect, pinned.map_err(|error| format!("{}: {error}", path.display())));
        }
    }
}
