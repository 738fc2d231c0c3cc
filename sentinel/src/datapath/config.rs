//! What the programs are told to do: the one value of the map `CONFIG`.

use aya::maps::Array;
use sentinel_common::config::{Config, Switch};

use super::{DatapathError, Kernel};
use crate::event::hook::{Defect, Finding, Inspection};

const MAP: &str = "CONFIG";

impl Kernel {
    /// What is in force.
    #[must_use]
    pub const fn switch(&self) -> Switch {
        self.config.switch()
    }

    pub(super) fn switch_to(&mut self, switch: Switch) -> Result<(), DatapathError> {
        let config = Config { switch: switch.0, ..self.config };
        let mut map: Array<_, Config> = self.map(MAP)?;
        map.set(0, config, 0).map_err(|error| DatapathError::map(MAP, "the switch", &error))?;
        self.config = config;
        Ok(())
    }

    /// What the kernel has, whoever wrote it.
    pub(super) fn written(&mut self) -> Result<Config, DatapathError> {
        let map: Array<_, Config> = self.map(MAP)?;
        map.get(&0, 0).map_err(|error| DatapathError::map(MAP, "a read", &error))
    }

    /// Nobody but the agent writes there: what somebody else has written is written over.
    pub(super) fn inspect_config(&mut self, found: &mut Inspection) {
        let defect = Defect { program: MAP, finding: Finding::Altered };
        match self.written() {
            Ok(config) if config == self.config => {}
            Ok(_) => found.mended(defect, self.switch_to(self.switch())),
            Err(error) => found.mended(defect, Err(error)),
        }
    }
}
