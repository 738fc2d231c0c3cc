//! The folder of pins.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use aya::maps::{Array, Map, MapData, MapError};
use rustix::fs::{FlockOperation, OFlags, flock, statfs};
use sentinel_common::names::NameKey;

use super::super::{OpenError, sys};
use super::Pinned;

/// Kind of the file system (include/uapi/linux/magic.h).
const BPFFS: u32 = 0xcafe_4a11;
/// How long an agent that is on its way out may take.
const PATIENCE: Duration = Duration::from_secs(5);
const LINKS: &str = "links";
const SECRET: &str = "SECRET";

/// What is learned of names.
const NAMES: [&str; 4] = ["LEARNED", "FQDNS", "RESOLVERS", "QUESTIONS"];
/// What else outlives the agent.
const STATE: [&str; 17] = [
    "CONFIG",
    "SIGNATURES",
    "POLICIES",
    "WORKLOADS",
    "PREFIXES",
    "CALLED",
    "FLOWS",
    "OWNERS",
    "FEED_DOMAINS",
    "FEED_ADDRESSES",
    "FEED_PREFIXES",
    "NAMED",
    "NAMES",
    "NAME_RULES",
    "STREAMS",
    "COUNTS",
    "EVENTS",
];
/// What means nothing beyond one run of a program, or one agent.
#[cfg(test)]
const PASSING: [&str; 9] = [
    "GRACE",
    "CANARIES",
    "REPLAY",
    "READINGS",
    "BLANK",
    "WIRES",
    "ASKED",
    "PROCESSES",
    "PROCESSES_LOST",
];

/// The folder, which no other agent holds meanwhile.
#[derive(Debug)]
pub(crate) struct Pins {
    folder: PathBuf,
    names: PathBuf,
    maps: PathBuf,
    /// Links were there.
    taken_over: bool,
    /// Held as long as the agent lives; the kernel lets go of it however that ends.
    _lock: File,
}

impl Pins {
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| OpenError::Io { path, source }
        };
        let above = folder.parent().filter(|_| folder.is_absolute());
        let is_bpffs = |path: &Path| statfs(path).is_ok_and(|found| found.f_type as u32 == BPFFS);
        if !above.is_some_and(is_bpffs) {
            return Err(OpenError::NoBpffs { path: folder.to_path_buf() });
        }
        make(folder).map_err(at(folder))?;
        let lock = lock(folder, PATIENCE).map_err(at(folder))?;
        let lock = lock.ok_or_else(|| OpenError::PinsHeld { path: folder.to_path_buf() })?;
        let links = folder.join(LINKS);
        let names = folder.join(concat!("names-", env!("SENTINEL_NAMES_LAYOUT")));
        let maps = folder.join(concat!("maps-", env!("SENTINEL_LAYOUT")));
        for path in [&links, &names, &maps] {
            make(path).map_err(at(path))?;
        }
        let taken_over = fs::read_dir(&links).map_err(at(&links))?.next().is_some();
        Ok(Self { folder: folder.to_path_buf(), names, maps, taken_over, _lock: lock })
    }

    /// Every map that is pinned, and where.
    pub(crate) fn maps(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let names = NAMES.iter().map(|name| (*name, self.names.join(name)));
        names.chain(STATE.iter().map(|name| (*name, self.maps.join(name))))
    }

    pub(crate) fn link(&self, program: &str) -> PathBuf {
        self.folder.join(LINKS).join(program)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The secret that the hashes of names were made with; `fresh` if there are none yet.
    pub(crate) fn secret(&self, fresh: NameKey) -> Result<NameKey, OpenError> {
        let refused = |error: MapError| OpenError::refused("the pinned secret of names", &error);
        let path = self.names.join(SECRET);
        if path.exists() {
            let map = MapData::from_pin(&path).and_then(Map::from_map_data).map_err(refused)?;
            let map: Array<MapData, [u64; 2]> = map.try_into().map_err(refused)?;
            let [seed, multiplier] = map.get(&0, 0).map_err(refused)?;
            return Ok(NameKey::new(seed, multiplier));
        }
        let mut map = Array::<MapData, [u64; 2]>::create(1, 0).map_err(refused)?;
        map.set(0, [fresh.seed, fresh.multiplier], 0).map_err(refused)?;
        // It has its value before it has its name: whoever finds it finds it whole.
        map.pin(&path).map_err(|error| OpenError::refused("a pin for the secret", &error))?;
        Ok(fresh)
    }

    /// Takes away what is of no use any more: other layouts, and links of programs that are no more.
    pub(super) fn tidy(&self, programs: &[&str]) {
        for path in entries(&self.folder) {
            if path != self.names && path != self.maps && is_layout(&path) {
                report(remove_folder(&path));
            }
        }
        for path in entries(&self.folder.join(LINKS)) {
            if !programs.iter().any(|program| path.ends_with(program)) {
                report(remove_link(&path));
            }
        }
    }

    pub(crate) fn pinned(&self) -> Pinned {
        let made = fs::metadata(self.folder.join(LINKS)).and_then(|found| found.modified()).ok();
        let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let folder = self.folder.clone();
        Pinned { folder, since: since.as_secs(), taken_over: self.taken_over }
    }

    pub(super) const fn taken_over(&self) -> bool {
        self.taken_over
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Hooks that nothing judges at any more.
    pub links: usize,
    /// Maps.
    pub maps: usize,
}

/// Takes everything out of the kernel that is pinned in this folder.
///
/// # Errors
/// When an agent runs that holds it, or the system refuses.
pub fn remove(folder: &Path) -> Result<Removed, OpenError> {
    let mut removed = Removed::default();
    let failed = |source| OpenError::Io { path: folder.to_path_buf(), source };
    if !folder.exists() {
        return Ok(removed);
    }
    let lock = lock(folder, Duration::ZERO).map_err(failed)?;
    let _lock = lock.ok_or_else(|| OpenError::PinsHeld { path: folder.to_path_buf() })?;
    // The hooks first: without their maps' names they would go on judging.
    for path in entries(&folder.join(LINKS)) {
        remove_link(&path).map_err(failed)?;
        removed.links += 1;
    }
    for path in entries(folder) {
        if is_layout(&path) {
            removed.maps += remove_folder(&path).map_err(failed)?;
        } else if path.ends_with(LINKS) {
            fs::remove_dir(&path).map_err(failed)?;
        }
    }
    match fs::remove_dir(folder) {
        // Somebody else keeps something there.
        Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => Err(failed(error)),
        _ => Ok(removed),
    }
}

/// Whether something is pinned in this folder.
#[must_use]
pub fn is_used(folder: &Path) -> bool {
    !entries(&folder.join(LINKS)).is_empty()
}

fn is_layout(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("maps-") || name.starts_with("names-")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Holds the folder; `None` when somebody else does all that time.
fn lock(folder: &Path, patience: Duration) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = OFlags::DIRECTORY.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(folder)?;
    let until = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() >= until => return Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The kernel lets go of a link that loses its name a moment later; of one that is detached, at once.
fn remove_link(path: &Path) -> io::Result<()> {
    // One whose cgroup is gone is off already.
    if let Ok(link) = sys::pinned(path) {
        let _ = sys::detach_link(link.as_fd());
    }
    fs::remove_file(path)
}

fn remove_folder(folder: &Path) -> io::Result<usize> {
    let pins = entries(folder);
    for pin in &pins {
        fs::remove_file(pin)?;
    }
    fs::remove_dir(folder).map(|()| pins.len())
}

fn report<T>(done: io::Result<T>) {
    if let Err(error) = done {
        tracing::warn!("what an agent before has left cannot be removed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map that nobody put into a list would be lost with every agent.
    #[test]
    fn every_map_is_in_one_list() {
        let text = include_str!("../../../../sentinel-ebpf/src/maps.rs");
        let names = text.lines().filter_map(|line| line.strip_prefix("pub static "));
        let mut there: Vec<&str> = names.filter_map(|line| line.split(':').next()).collect();
        let mut listed: Vec<&str> = [&NAMES[..], &STATE, &PASSING].concat();
        there.sort_unstable();
        listed.sort_unstable();
        assert_eq!(there, listed);
    }

    #[test]
    fn a_folder_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Pins::open(&folder.path().join("pins")).unwrap_err();
        assert!(error.to_string().contains("mount -t bpf"), "{error}");
        assert_eq!(remove(&folder.path().join("pins")).unwrap(), Removed::default());
    }
}
