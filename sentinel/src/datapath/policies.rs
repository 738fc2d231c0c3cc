//! A set of policies into its slot: only what differs from what stands there is written.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, MapError};
use sentinel_common::flow::Direction;
use sentinel_common::policy::{
    Binding, PolicyTable, PrefixKey, PrefixRules, SCOPE_BITS, Scope, WorkloadKey,
};

use super::DatapathError;
use super::image::{PolicyImage, PrefixEntry};
use super::kernel::open;

/// What stands in a slot.
#[derive(Debug, Default)]
pub(super) struct Resident {
    image: Option<Arc<PolicyImage>>,
    workloads: BTreeMap<u64, Binding>,
    /// A write was refused half-way: nobody knows what stands there.
    torn: bool,
}

type Trie<'a> = LpmTrie<&'a mut MapData, PrefixKey, PrefixRules>;
type Workloads<'a> = HashMap<&'a mut MapData, WorkloadKey, Binding>;

impl Resident {
    /// Something that another agent wrote.
    pub(super) fn unknown() -> Self {
        Self { torn: true, ..Self::default() }
    }

    /// The set that stands here.
    pub(super) fn image(&self) -> Option<Arc<PolicyImage>> {
        self.image.clone().filter(|_| !self.torn)
    }

    /// Makes the slot hold this set; returns how many entries were touched. Nobody may be looking.
    ///
    /// # Errors
    /// When the kernel refuses an entry: the slot is emptied before it is written again.
    pub(super) fn write(
        &mut self,
        ebpf: &mut Ebpf,
        slot: u8,
        image: &Arc<PolicyImage>,
    ) -> Result<usize, DatapathError> {
        if self.torn {
            clear(ebpf, slot)?;
            *self = Self::default();
        }
        self.torn = true;
        let old = self.image.as_ref().map_or(&[][..], |old| &old.prefixes);
        let mut touched = write_prefixes(open(ebpf, "PREFIXES")?, slot, old, &image.prefixes)?;
        let workloads = open(ebpf, "WORKLOADS")?;
        touched += write_workloads(workloads, slot, &self.workloads, &image.workloads)?;
        let mut table: Array<&mut MapData, PolicyTable> = open(ebpf, "POLICIES")?;
        let refused = |error: MapError| DatapathError::map("POLICIES", "the policies", &error);
        table.set(u32::from(slot), *image.table, 0).map_err(refused)?;
        self.workloads.clone_from(&image.workloads);
        self.image = Some(Arc::clone(image));
        self.torn = false;
        Ok(touched)
    }

    /// Binds a cgroup, or lets it go.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(super) fn bind(
        &mut self,
        ebpf: &mut Ebpf,
        slot: u8,
        cgroup: u64,
        binding: Option<&Binding>,
    ) -> Result<(), DatapathError> {
        let mut workloads: Workloads<'_> = open(ebpf, "WORKLOADS")?;
        let key = WorkloadKey::new(slot, cgroup);
        let refused = |error: MapError| DatapathError::map("WORKLOADS", "a cgroup", &error);
        if let Some(binding) = binding {
            workloads.insert(key, binding, 0).map_err(refused)?;
            self.workloads.insert(cgroup, *binding);
        } else if self.workloads.remove(&cgroup).is_some() {
            workloads.remove(&key).map_err(refused)?;
        }
        Ok(())
    }
}

fn key(slot: u8, entry: &PrefixEntry) -> Key<PrefixKey> {
    let direction = if entry.direction == 0 { Direction::Egress } else { Direction::Ingress };
    let scope = Scope::new(slot, direction, entry.policy).bytes();
    Key::new(SCOPE_BITS + u32::from(entry.len), PrefixKey { scope, address: entry.address })
}

/// Both lists are sorted: what is in one only is written or taken away, and what is in both only where
/// it differs.
fn write_prefixes(
    mut trie: Trie<'_>,
    slot: u8,
    old: &[(PrefixEntry, PrefixRules)],
    new: &[(PrefixEntry, PrefixRules)],
) -> Result<usize, DatapathError> {
    let refused = |error: MapError| DatapathError::map("PREFIXES", "a prefix", &error);
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut touched = 0;
    // Room first: what goes, goes before what comes.
    let mut insertions = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((gone, _)), Some((come, _))) => gone.cmp(come),
        };
        let gone = if order.is_le() { old.next() } else { None };
        let come = if order.is_ge() { new.next() } else { None };
        match (gone, come) {
            (Some((entry, _)), None) => {
                trie.remove(&key(slot, entry)).map_err(refused)?;
                touched += 1;
            }
            (gone, Some((entry, rules))) if gone.is_none_or(|(_, before)| before != rules) => {
                insertions.push((entry, rules));
            }
            _ => {}
        }
    }
    touched += insertions.len();
    for (entry, rules) in insertions {
        trie.insert(&key(slot, entry), rules, 0).map_err(refused)?;
    }
    Ok(touched)
}

fn write_workloads(
    mut map: Workloads<'_>,
    slot: u8,
    old: &BTreeMap<u64, Binding>,
    new: &BTreeMap<u64, Binding>,
) -> Result<usize, DatapathError> {
    let refused = |error: MapError| DatapathError::map("WORKLOADS", "a cgroup", &error);
    let mut touched = 0;
    for cgroup in old.keys().filter(|cgroup| !new.contains_key(cgroup)) {
        map.remove(&WorkloadKey::new(slot, *cgroup)).map_err(refused)?;
        touched += 1;
    }
    for (cgroup, binding) in new.iter().filter(|(cgroup, binding)| old.get(cgroup) != Some(binding))
    {
        map.insert(WorkloadKey::new(slot, *cgroup), binding, 0).map_err(refused)?;
        touched += 1;
    }
    Ok(touched)
}

/// Takes everything out of a slot, whatever it is.
fn clear(ebpf: &mut Ebpf, slot: u8) -> Result<(), DatapathError> {
    let mut trie: Trie<'_> = open(ebpf, "PREFIXES")?;
    let refused = |error: MapError| DatapathError::map("PREFIXES", "to be emptied", &error);
    let is_of_slot = |scope: [u8; 4]| u32::from_ne_bytes(scope) >> 31 == u32::from(slot);
    let keys: Vec<_> = trie.keys().collect::<Result<_, _>>().map_err(refused)?;
    for key in keys.iter().filter(|key| is_of_slot(key.data().scope)) {
        trie.remove(key).map_err(refused)?;
    }
    let mut workloads: Workloads<'_> = open(ebpf, "WORKLOADS")?;
    let refused = |error: MapError| DatapathError::map("WORKLOADS", "to be emptied", &error);
    let keys: Vec<_> = workloads.keys().collect::<Result<_, _>>().map_err(refused)?;
    for key in keys.iter().filter(|key| key.slot == u32::from(slot)) {
        workloads.remove(key).map_err(refused)?;
    }
    Ok(())
}
