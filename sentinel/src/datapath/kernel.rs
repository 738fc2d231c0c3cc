//! The loaded programs and their maps.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{Array, ArrayOfMaps, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya_log::EbpfLogger;
use bytes::Bytes;
use sentinel_common::config::{Config, Modes, Policies, Switch};
use sentinel_common::event::ABI_VERSION;
use sentinel_common::flow::Flow;
use sentinel_common::policy::Binding;
use sentinel_common::signature::Signatures;
use sentinel_common::verdict::COUNTERS;

use super::canary::Canary;
use super::names::Names;
use super::pin::{Pinned, Pins};
use super::policies::Resident;
use super::{
    Attachment, Datapath, DatapathError, OpenError, PolicyImage, Ring, ServerName, WireEnd, attach,
    feeds, learning, lsm, object, offsets, platform, sockets, vigil::Vigil, wires::Wires,
};
use crate::event::hook::Inspection;
use crate::feed::FeedSet;
use crate::names::Swept;
use crate::policy::Pattern;

/// Feeds and policies that take longer than this to write are worth a line.
const SLOW: Duration = Duration::from_secs(1);

/// The programs in this kernel. Dropping it detaches them.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    pub(super) cgroup: PathBuf,
    /// Its number, by which it is known from another of the same name.
    pub(super) cgroup_id: u64,
    attachments: Vec<Attachment>,
    pub(super) wires: Wires,
    pub(super) config: Config,
    /// What each slot of the policies holds.
    pub(super) resident: [Resident; 2],
    /// What the maps of the feeds hold.
    feeds: Arc<FeedSet>,
    /// They hold parts of two sets: a refusal could not be undone.
    torn: bool,
    /// They hold what another agent wrote.
    pub(super) inherits_feeds: bool,
    /// What the maps of names hold.
    pub(super) names: Names,
    /// Links that outlive this process, and whether they have yet to be given its programs.
    pub(super) links: Vec<OwnedFd>,
    pub(super) awaits_links: bool,
    /// What is known of them from the last look.
    pub(super) vigil: Vigil,
    /// Who asks whether it is refused, where it can.
    pub(super) canary: Option<Canary>,
    /// Why only sockets of IP are refused, if any.
    pub(super) sockets_gap: Option<String>,
    /// Last, for the lock: the next agent finds everything let go.
    pub(super) pins: Option<Pins>,
}

impl Kernel {
    /// Checks the host, parses the object and creates the maps; loads no program yet.
    ///
    /// # Errors
    /// When the host cannot run the programs.
    pub fn load() -> Result<Self, OpenError> {
        Self::create(None)
    }

    pub(super) fn create(pins: Option<Pins>) -> Result<Self, OpenError> {
        platform::check()?;
        let ebpf = object::create(pins.as_ref())?;
        let config = Config {
            abi_version: ABI_VERSION,
            offsets: offsets::find(),
            name_key: learning::name_key()?,
            learning: learning::at_start(),
            tasks: offsets::tasks(),
            ..Config::default()
        };
        let mut kernel = Self {
            ebpf,
            cgroup: PathBuf::new(),
            cgroup_id: 0,
            attachments: Vec::new(),
            wires: Wires::default(),
            config,
            resident: Default::default(),
            feeds: Arc::default(),
            torn: false,
            inherits_feeds: false,
            names: Names::default(),
            links: Vec::new(),
            awaits_links: false,
            vigil: Vigil::default(),
            canary: None,
            sockets_gap: Some(lsm::UNWANTED.to_owned()),
            pins,
        };
        if kernel.adopt()? {
            return Ok(kernel);
        }
        let off = Switch::new(0, Modes::OFF, Policies::default(), 0);
        kernel
            .switch_to(off)
            .map_err(|error| OpenError::refused("the first configuration", &error))?;
        Ok(kernel)
    }

    /// Attaches every program to `cgroup`, or to the root of the cgroup2 hierarchy.
    ///
    /// # Errors
    /// When `cgroup` is no cgroup2 directory, or the kernel refuses a program.
    pub fn attach(&mut self, cgroup: Option<&Path>) -> Result<(), OpenError> {
        let root = platform::cgroups()?.root;
        let path = cgroup.map_or_else(|| root.clone(), Path::to_path_buf);
        if !path.join("cgroup.procs").exists() || !path.starts_with(&root) {
            return Err(OpenError::NotACgroup { path, root });
        }
        let about = std::fs::metadata(&path);
        let about = about.map_err(|source| OpenError::Io { path: path.clone(), source })?;
        self.cgroup_id = about.ino();
        if cgroup.is_none() && self.cgroup_id != platform::ROOT_CGROUP {
            return Err(OpenError::VirtualRoot { path });
        }
        self.watch_only(&path, &root)?;
        self.hatch(&path, &root)?;
        self.attachments = if self.pins.is_some() {
            self.load_hooks(&path)?
        } else {
            attach::attach_all(&mut self.ebpf, &path)?
        };
        let lsm = self.attach_lsm(&path);
        self.attachments.extend(lsm);
        self.cgroup = path;
        Ok(())
    }

    /// Tells the probes which part of the hierarchy is meant; the cgroup hooks know by where they
    /// are attached.
    fn watch_only(&mut self, path: &Path, root: &Path) -> Result<(), OpenError> {
        let below = path.strip_prefix(root).map_or(0, |below| below.components().count());
        if below > 0 {
            self.config.cgroup = self.cgroup_id;
            self.config.depth = below as u32;
        }
        let now = self.switch();
        self.switch_to(now).map_err(|error| OpenError::refused("the configuration", &error))
    }

    /// Takes the ring out, to be read by one task.
    ///
    /// # Errors
    /// When it was taken before, or there is no async runtime.
    pub fn ring(&mut self) -> Result<Ring, OpenError> {
        let missing = || OpenError::Missing { what: "map", name: "EVENTS".to_owned() };
        let map = self.ebpf.take_map("EVENTS").ok_or_else(missing)?;
        let events = RingBuf::try_from(map)
            .map_err(|error| OpenError::refused("the ring buffer", &error))?;
        let logger = EbpfLogger::init(&mut self.ebpf)
            .inspect_err(|error| {
                tracing::debug!("no diagnostics from the kernel programs: {error}")
            })
            .ok();
        Ring::new(events, logger)
            .map_err(|error| OpenError::refused("to poll the ring buffer", &error))
    }

    /// Takes out every record that is in the ring now, without a runtime.
    ///
    /// # Errors
    /// When the ring was taken before.
    pub fn drain(&mut self) -> Result<Vec<Bytes>, DatapathError> {
        let mut ring: RingBuf<&mut MapData> = self.map("EVENTS")?;
        let mut records = Vec::new();
        while let Some(record) = ring.next() {
            records.push(Bytes::copy_from_slice(&record));
        }
        Ok(records)
    }

    pub(super) fn map<'a, T>(&'a mut self, name: &'static str) -> Result<T, DatapathError>
    where
        T: TryFrom<&'a mut Map, Error = MapError>,
    {
        open(&mut self.ebpf, name)
    }

    /// Returns when every program that runs now has ended.
    pub(super) fn wait_for_programs(&mut self) -> Result<(), DatapathError> {
        let refused = |error: MapError| DatapathError::map("GRACE", "an update", &error);
        let marker = Array::<MapData, u32>::create(1, 0).map_err(refused)?;
        let mut grace: ArrayOfMaps<&mut MapData, Array<MapData, u32>> = self.map("GRACE")?;
        grace.set(0, &marker, 0).map_err(refused)
    }

    /// Makes a slot that is not in force hold these policies.
    fn slot(&mut self, slot: u8, policy: &Arc<PolicyImage>) -> Result<usize, DatapathError> {
        let [first, second] = &mut self.resident;
        let resident = if slot == 0 { first } else { second };
        let touched = resident.write(&mut self.ebpf, slot, policy)?;
        self.write_names(slot, policy)?;
        Ok(touched)
    }

    /// Makes the feeds' maps hold this set, and goes back where the kernel refuses a part of it.
    fn turn_feeds(&mut self, new: &Arc<FeedSet>) -> Result<usize, DatapathError> {
        if std::mem::take(&mut self.inherits_feeds) {
            self.torn = true;
            let touched = self.replace_unknown_feeds(new)?;
            (self.feeds, self.torn) = (Arc::clone(new), false);
            return Ok(touched);
        }
        if self.torn {
            feeds::clear(&mut self.ebpf)?;
            (self.feeds, self.torn) = (Arc::default(), false);
        }
        let key = self.config.name_key;
        let old = Arc::clone(&self.feeds);
        match feeds::replace(&mut self.ebpf, key, &old, new) {
            Ok(touched) => {
                self.feeds = Arc::clone(new);
                Ok(touched)
            }
            Err(why) => {
                self.torn = feeds::restore(&mut self.ebpf, key, &old, new).is_err();
                let now = if self.torn {
                    "and the kernel holds parts of them and of those before until others are taken"
                } else {
                    "those before stay in force"
                };
                Err(DatapathError::Feeds { why: Box::new(why), now })
            }
        }
    }
}

/// A map, to be written.
pub(super) fn open<'a, T>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<T, DatapathError>
where
    T: TryFrom<&'a mut Map, Error = MapError>,
{
    let map = ebpf.map_mut(name).ok_or_else(|| DatapathError::absent(name))?;
    T::try_from(map).map_err(|error| DatapathError::map(name, "to be opened", &error))
}

impl Datapath for Kernel {
    fn set_signatures(&mut self, signatures: &Signatures) -> Result<u32, DatapathError> {
        let now = self.switch();
        let next = now.next_signatures();
        // A program that loaded the switch before the last swap may walk that slot still.
        self.wait_for_programs()?;
        let mut map: Array<_, Signatures> = self.map("SIGNATURES")?;
        map.set(next & 1, signatures, 0)
            .map_err(|error| DatapathError::map("SIGNATURES", "a signature set", &error))?;
        self.switch_to(Switch::new(now.generation(), now.modes(), now.policies(), next))?;
        Ok(next)
    }

    fn set_policy(&mut self, policy: &Arc<PolicyImage>) -> Result<u32, DatapathError> {
        let begun = Instant::now();
        let now = self.switch();
        let slot = now.policy_slot() ^ 1;
        // A program that loaded the switch before the last policy may look into that slot still.
        self.wait_for_programs()?;
        let touched = self.slot(slot, policy)?;
        let generation = now.generation().wrapping_add(1).max(1);
        let PolicyImage { modes, by_workload, on_ingress, .. } = **policy;
        let policies = Policies { slot, by_workload, on_ingress };
        self.switch_to(Switch::new(generation, modes, policies, now.signatures()))?;
        self.put_links().map_err(|error| DatapathError::Links(Box::new(error)))?;
        self.look_only_for(&policy.patterns)?;
        if begun.elapsed() > SLOW {
            tracing::info!("{touched} entries of policies written in {:.1?}", begun.elapsed());
        }
        Ok(generation)
    }

    fn prepare_next(&mut self) -> Result<(), DatapathError> {
        let [first, second] = &self.resident;
        let now = self.switch().policy_slot();
        let Some(image) = (if now == 0 { first } else { second }).image() else { return Ok(()) };
        self.wait_for_programs()?;
        self.slot(now ^ 1, &image).map(drop)
    }

    fn bind(&mut self, cgroup: u64, binding: Option<&Binding>) -> Result<(), DatapathError> {
        if !self.switch().by_workload() {
            return Ok(());
        }
        let now = usize::from(self.switch().policy_slot());
        // The set that is not in force takes what it lacks when it is written again.
        for (slot, resident) in
            self.resident.iter_mut().enumerate().filter(|(slot, _)| *slot == now)
        {
            resident.bind(&mut self.ebpf, slot as u8, cgroup, binding)?;
        }
        Ok(())
    }

    fn set_feeds(&mut self, new: &Arc<FeedSet>) -> Result<(), DatapathError> {
        let begun = Instant::now();
        let had = !self.feeds.networks().is_empty() || self.torn || self.inherits_feeds;
        self.ask_for_prefixes(had || !new.networks().is_empty())?;
        let touched = self.turn_feeds(new);
        let has = !self.feeds.networks().is_empty() || self.torn;
        self.ask_for_prefixes(has)?;
        let touched = touched?;
        if begun.elapsed() > SLOW {
            tracing::info!("{touched} entries of feeds written in {:.1?}", begun.elapsed());
        }
        Ok(())
    }

    fn resume(&mut self, socket: BorrowedFd<'_>, flow: &Flow) -> Result<bool, DatapathError> {
        sockets::insert(self.map("FLOWS")?, socket, flow)
    }

    fn server_name(&self, cookie: u64) -> Result<Option<ServerName>, DatapathError> {
        let map = self.ebpf.map("NAMES").ok_or_else(|| DatapathError::absent("NAMES"))?;
        sockets::server_name(map, cookie)
    }

    fn set_wires(&mut self, wires: &[WireEnd]) -> Result<Vec<(u32, DatapathError)>, DatapathError> {
        self.wires.set(&mut self.ebpf, wires)
    }

    fn set_resolvers(&mut self, servers: &BTreeSet<IpAddr>) -> Result<(), DatapathError> {
        self.trust(servers)
    }

    fn has_patterns(&self) -> bool {
        self.names.has_patterns()
    }

    fn learned(&mut self, address: IpAddr) -> Result<Vec<Pattern>, DatapathError> {
        self.patterns_of(address)
    }

    fn sweep(&mut self, alive: &HashSet<IpAddr>) -> Result<Swept, DatapathError> {
        self.sweep_learned(alive)
    }

    fn counters(&self) -> Result<Vec<u64>, DatapathError> {
        let map = self.ebpf.map("COUNTS").ok_or_else(|| DatapathError::absent("COUNTS"))?;
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(map)
            .map_err(|error| DatapathError::map("COUNTS", "to be opened", &error))?;
        let total = |slot| map.get(&slot, 0).map(|values| values.iter().sum());
        let totals: Result<Vec<u64>, MapError> = (0..COUNTERS as u32).map(total).collect();
        totals.map_err(|error| DatapathError::map("COUNTS", "a read", &error))
    }

    fn inspect(&mut self) -> Inspection {
        self.inspect_hooks()
    }

    fn attachments(&self) -> Vec<Attachment> {
        let mut attachments = self.attachments.clone();
        attachments.extend(self.wires.attachment());
        attachments
    }

    fn sockets_gap(&self) -> Option<String> {
        self.sockets_gap.clone()
    }

    fn pinned(&self) -> Option<Pinned> {
        self.pins.as_ref().map(Pins::pinned)
    }

    fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    fn generation(&self) -> u32 {
        self.switch().generation()
    }
}
