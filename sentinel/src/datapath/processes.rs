//! The ring of processes: fetched, not waited for.

use aya::maps::{Array, MapData, MapError, RingBuf};

use super::{DatapathError, Kernel, OpenError};

/// News of processes, as the kernel told them.
pub struct ProcessRing {
    records: RingBuf<MapData>,
    losses: Array<MapData, u64>,
    lost: u64,
}

impl ProcessRing {
    /// Hands over every record that is there now, in their order; returns whether some found no room
    /// since the last time.
    ///
    /// # Errors
    /// When the kernel refuses to say how many were lost.
    pub fn fetch(&mut self, mut each: impl FnMut(&[u8])) -> Result<bool, DatapathError> {
        while let Some(record) = self.records.next() {
            each(&record);
        }
        let now = self.losses.get(&0, 0);
        let now = now.map_err(|error| DatapathError::map("PROCESSES_LOST", "a read", &error))?;
        Ok(std::mem::replace(&mut self.lost, now) != now)
    }
}

impl Kernel {
    /// Takes the ring of processes out.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn processes(&mut self) -> Result<ProcessRing, OpenError> {
        let missing = |name: &str| OpenError::Missing { what: "map", name: name.to_owned() };
        let refused = |error: MapError| OpenError::refused("the ring of processes", &error);
        let records = self.ebpf.take_map("PROCESSES").ok_or_else(|| missing("PROCESSES"))?;
        let losses = self.ebpf.take_map("PROCESSES_LOST");
        let losses = losses.ok_or_else(|| missing("PROCESSES_LOST"))?;
        Ok(ProcessRing {
            records: RingBuf::try_from(records).map_err(refused)?,
            losses: Array::try_from(losses).map_err(refused)?,
            lost: 0,
        })
    }
}
