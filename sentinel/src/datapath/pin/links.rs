//! The hooks' links: each is made once, and has its program replaced by every agent that comes.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya::Ebpf;
use aya::programs::ProgramFd;

use super::super::{Attachment, Kernel, OpenError, attach, lsm, object, sys};
use super::Pins;

impl Kernel {
    /// Loads the hooks' programs, to be attached by [`Kernel::put_links`].
    pub(crate) fn load_hooks(&mut self, cgroup: &Path) -> Result<Vec<Attachment>, OpenError> {
        let target = cgroup.display().to_string();
        let mut attachments = Vec::new();
        for (name, _) in attach::HOOKS {
            object::load(&mut self.ebpf, name)?;
            attachments.push(attach::entry(name, &target, Some("pinned")));
        }
        attachments.extend(attach::attach_probes(&mut self.ebpf)?);
        self.awaits_links = true;
        Ok(attachments)
    }

    /// Has every hook run this agent's program, when it does not yet.
    pub(crate) fn put_links(&mut self) -> Result<(), OpenError> {
        if !std::mem::take(&mut self.awaits_links) {
            return Ok(());
        }
        let Some(pins) = &self.pins else { return Ok(()) };
        let at = |source| OpenError::Io { path: self.cgroup.clone(), source };
        let directory = File::open(&self.cgroup).map_err(at)?;
        for (name, _) in attach::HOOKS {
            let link = put(&mut self.ebpf, pins, name, &directory, self.cgroup_id)?;
            self.links.push(link);
        }
        let mut hooks = attach::HOOKS.map(|(name, _)| name).to_vec();
        let lsm = self
            .has_lsm()
            .then(|| put(&mut self.ebpf, pins, lsm::HOOK, &directory, self.cgroup_id));
        if let Some(Ok(_)) = lsm {
            hooks.push(lsm::HOOK);
        }
        pins.tidy(&hooks);
        if pins.taken_over() {
            tracing::info!("took over what is pinned in {}", pins.folder().display());
        }
        match lsm {
            Some(Ok(link)) => self.links.push(link),
            Some(Err(error)) => self.settle_lsm(Err(error)),
            None => {}
        }
        Ok(())
    }

    /// Makes a link anew that somebody has detached.
    pub(crate) fn put_link(
        &mut self,
        name: &'static str,
        directory: &File,
    ) -> Result<(), OpenError> {
        let Some(pins) = &self.pins else { return Ok(()) };
        let link = put(&mut self.ebpf, pins, name, directory, self.cgroup_id)?;
        let mut hooks = attach::HOOKS.into_iter().map(|(hook, _)| hook).chain([lsm::HOOK]);
        let place = hooks.position(|hook| hook == name);
        if let Some(before) = place.and_then(|place| self.links.get_mut(place)) {
            *before = link;
        }
        Ok(())
    }
}

fn put(
    ebpf: &mut Ebpf,
    pins: &Pins,
    name: &str,
    directory: &File,
    id: u64,
) -> Result<OwnedFd, OpenError> {
    let path = pins.link(name);
    let before = sys::pinned(&path).ok();
    if let Some(link) = before.as_ref()
        && sys::cgroup_of_link(link.as_fd()).is_ok_and(|cgroup| cgroup == id)
    {
        let program = program(ebpf, name)?;
        let done = sys::update_link(link.as_fd(), program.as_fd());
        done.map_err(|error| OpenError::refused(format!("to replace `{name}`"), &error))?;
    } else {
        // On another cgroup, or nowhere: the one before stays until this one has its name.
        let new = pins.link(&format!("{name}-new"));
        let _ = fs::remove_file(&new);
        let link = attach::link(ebpf, name, directory)?;
        link.pin(&new).map_err(|error| OpenError::refused("a pin for a link", &error))?;
        fs::rename(&new, &path).map_err(|error| OpenError::refused("a pin for a link", &error))?;
        drop(before);
    }
    sys::pinned(&path).map_err(|source| OpenError::Io { path, source })
}

fn program<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a ProgramFd, OpenError> {
    let missing = || OpenError::Missing { what: "program", name: name.to_owned() };
    let program = ebpf.program(name).ok_or_else(missing)?;
    program.fd().map_err(|error| OpenError::refused(format!("the program `{name}`"), &error))
}
