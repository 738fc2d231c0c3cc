//! Which wires lead to workloads, and which workloads can be judged at the other end of theirs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use sentinel_common::limits::MAX_WIRE_CGROUPS;
use serde::Serialize;

use super::links::{self, Kind, Link};
use super::procfs;
use super::scope::Scope;
use crate::datapath::WireEnd;
use crate::respond::namespace;

/// Workloads of one network namespace that are named.
const NAMED: usize = 16;
/// Network namespaces that are looked into.
const NAMESPACES: usize = 4096;

/// What stands behind the hooks on a workload's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Backstop {
    /// Everything that leaves it by a wire is judged there too, or it can make nothing that passes the
    /// hooks by.
    #[serde(rename = "full")]
    Full,
    /// What does not come by a socket's hooks is not judged.
    #[serde(rename = "no L2 backstop")]
    None,
}

/// How far workloads that share a network namespace are judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Their cgroups, the first few.
    pub workloads: BTreeSet<String>,
    /// The namespace's inode number.
    pub namespace: u64,
    /// What stands behind the hooks on sockets.
    pub backstop: Backstop,
    /// Why there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The host's ends of workloads' wires.
    pub wires: Vec<WireEnd>,
    /// Those at whose other end there are too many to be judged, by index.
    pub crowded: Vec<u32>,
    /// The workloads.
    pub coverage: Vec<Coverage>,
}

impl Found {
    /// Whether somebody may have come to where nobody was.
    #[must_use]
    pub fn awaits_somebody(&self) -> bool {
        self.wires.iter().any(|wire| wire.cgroups[0] == 0)
    }
}

/// A network namespace with watched processes in it.
struct Room {
    file: File,
    cgroups: BTreeSet<u64>,
    workloads: BTreeSet<String>,
    /// Those of the workloads that may make interfaces, looked for in the host's namespace only.
    makers: BTreeSet<String>,
}

/// Looks at every watched process's network namespace and at the interfaces of this one. Takes some
/// microseconds for each process. `gap` is why those in this namespace may make sockets that pass the
/// hooks by, if they may.
///
/// # Errors
/// When this namespace's interfaces cannot be listed.
pub fn find(scope: &mut Scope, gap: Option<&str>) -> io::Result<Found> {
    let here = links::links()?;
    let own = std::fs::metadata("/proc/self/ns/net")?.ino();
    let mut found = Found::default();
    for (number, room) in rooms(scope, own) {
        if number == own {
            found.coverage.extend(at_home(number, room, gap));
            continue;
        }
        let why = match wires_to(&room, &here) {
            // Told so, rather than hindered by the policies of others.
            Ok(wires) if room.cgroups.len() > MAX_WIRE_CGROUPS => {
                found.crowded.extend(wires.iter().map(|wire| wire.index));
                let count = room.cgroups.len();
                Some(format!("{count} cgroups share its wire, and {MAX_WIRE_CGROUPS} fit"))
            }
            Ok(wires) => {
                let why = way_around(&room.file, wires.len());
                found.wires.extend(wires);
                why
            }
            Err(error) => Some(format!("its network namespace cannot be looked into: {error}")),
        };
        found.coverage.push(covered(number, room.workloads, why));
    }
    if scope.is_everything() {
        let unknown = unknown(&here, &found);
        found.wires.extend(unknown);
    }
    Ok(found)
}

fn covered(namespace: u64, workloads: BTreeSet<String>, why: Option<String>) -> Coverage {
    let backstop = if why.is_none() { Backstop::Full } else { Backstop::None };
    Coverage { workloads, namespace, backstop, why }
}

/// Workloads in the host's namespace, where there is no wire: what they may not make gets nowhere.
fn at_home(namespace: u64, room: Room, gap: Option<&str>) -> Vec<Coverage> {
    const HOME: &str = "it is in the network namespace of the host";
    if let Some(gap) = gap {
        return vec![covered(namespace, room.workloads, Some(format!("{HOME}, and {gap}")))];
    }
    let others = room.workloads.difference(&room.makers).cloned().collect();
    let why = format!("{HOME}, and may make tunnels there (CAP_NET_ADMIN)");
    let rows = [covered(namespace, room.makers, Some(why)), covered(namespace, others, None)];
    rows.into_iter().filter(|row| !row.workloads.is_empty()).collect()
}

/// Wires whose other end nobody is in yet: a workload's, before its first process.
fn unknown(here: &[Link], found: &Found) -> Vec<WireEnd> {
    let known: HashSet<u32> =
        found.wires.iter().map(|wire| wire.index).chain(found.crowded.iter().copied()).collect();
    let ends = here.iter().filter_map(|link| end(link, &BTreeSet::new()));
    ends.filter(|end| !known.contains(&end.index)).collect()
}

fn end(link: &Link, at_the_other: &BTreeSet<u64>) -> Option<WireEnd> {
    let namespace = link.leads_to.filter(|_| link.kind == Kind::Veth)?;
    let mut cgroups = [0; MAX_WIRE_CGROUPS];
    for (slot, cgroup) in cgroups.iter_mut().zip(at_the_other) {
        *slot = *cgroup;
    }
    Some(WireEnd { index: link.index, name: link.name.clone(), namespace, cgroups })
}

fn wires_to(room: &Room, here: &[Link]) -> io::Result<Vec<WireEnd>> {
    let Some(number) = links::number_of(&room.file)? else { return Ok(Vec::new()) };
    let ends = here.iter().filter(|link| link.leads_to == Some(number));
    Ok(ends.filter_map(|link| end(link, &room.cgroups)).collect())
}

/// Why something may leave a namespace by another way than `wires` wires to this one.
fn way_around(room: &File, wires: usize) -> Option<String> {
    let links = match namespace::inside(room, links::links) {
        Ok(links) => links,
        Err(error) => return Some(format!("its interfaces cannot be listed: {error}")),
    };
    another_way(&links, wires)
}

fn another_way(links: &[Link], wires: usize) -> Option<String> {
    let mut veths = 0;
    for link in links {
        match (&link.kind, link.leads_to) {
            (Kind::Veth, Some(_)) => veths += 1,
            (Kind::Physical, _) => return Some(format!("{} is a device of its own", link.name)),
            (Kind::Other(kind), Some(_)) => return Some(format!("{} is a {kind}", link.name)),
            _ => {}
        }
    }
    (veths > wires).then(|| "a wire of its leads into a third namespace".to_owned())
}

/// The namespaces of all watched processes; this one is `own`.
fn rooms(scope: &mut Scope, own: u64) -> BTreeMap<u64, Room> {
    let mut rooms = BTreeMap::<u64, Room>::new();
    for pid in namespace::processes() {
        let Some(path) = scope.path_of(pid) else { continue };
        let Ok(file) = File::open(format!("/proc/{pid}/ns/net")) else { continue };
        let Ok(number) = file.metadata().map(|about| about.ino()) else { continue };
        if rooms.len() >= NAMESPACES && !rooms.contains_key(&number) {
            continue;
        }
        let room = rooms.entry(number).or_insert_with(|| Room {
            file,
            cgroups: BTreeSet::new(),
            workloads: BTreeSet::new(),
            makers: BTreeSet::new(),
        });
        room.cgroups.insert(scope.cgroup_of(pid));
        if room.workloads.len() < NAMED {
            room.workloads.insert(path.clone());
        }
        if number == own && room.workloads.contains(&path) && procfs::may_make_interfaces(pid) {
            room.makers.insert(path);
        }
    }
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: Kind, leads_to: Option<u32>) -> Link {
        Link { index: 3, name: "x0".to_owned(), kind, leads_to }
    }

    #[test]
    fn one_wire_that_is_judged_is_all_there_may_be() {
        let wire = link(Kind::Veth, Some(0));
        let tunnel = link(Kind::Other("vxlan".to_owned()), None);
        let loopback = link(Kind::Loopback, None);
        assert_eq!(another_way(&[loopback.clone(), wire.clone(), tunnel], 1), None);
        assert_eq!(another_way(&[loopback], 0), None, "nothing leaves it at all");
        assert!(another_way(&[wire.clone(), wire.clone()], 1).is_some());
        let macvlan = link(Kind::Other("macvlan".to_owned()), Some(0));
        let why = another_way(&[wire.clone(), macvlan], 1).unwrap();
        assert!(why.contains("macvlan"), "{why}");
        assert!(another_way(&[wire, link(Kind::Physical, None)], 1).is_some());
    }

    #[test]
    fn at_home_nothing_is_covered_that_may_make_its_own_way() {
        let room = |makers: &[&str]| Room {
            file: File::open("/dev/null").unwrap(),
            cgroups: BTreeSet::new(),
            workloads: ["/a", "/b"].map(str::to_owned).into(),
            makers: makers.iter().map(|path| (*path).to_owned()).collect(),
        };
        let rows = |makers: &[&str], gap| -> Vec<_> {
            let rows = at_home(7, room(makers), gap).into_iter();
            rows.map(|row| (row.workloads.into_iter().collect::<String>(), row.backstop)).collect()
        };
        assert_eq!(rows(&[], Some("nobody asks")), [("/a/b".to_owned(), Backstop::None)]);
        assert_eq!(rows(&[], None), [("/a/b".to_owned(), Backstop::Full)]);
        let mixed = [("/a".to_owned(), Backstop::None), ("/b".to_owned(), Backstop::Full)];
        assert_eq!(rows(&["/a"], None), mixed);
        assert_eq!(rows(&["/a", "/b"], None), [("/a/b".to_owned(), Backstop::None)]);
    }

    #[test]
    fn a_wire_is_known_by_the_namespace_it_leads_to() {
        let some = BTreeSet::from([42, 43]);
        let known = end(&link(Kind::Veth, Some(7)), &some).unwrap();
        assert_eq!((known.index, known.namespace), (3, 7));
        assert_eq!(known.cgroups, [42, 43, 0, 0, 0, 0, 0, 0]);
        assert!(end(&link(Kind::Veth, None), &some).is_none(), "both ends are here");
        assert!(end(&link(Kind::Physical, Some(7)), &some).is_none());
        let other = Link { index: 4, ..link(Kind::Veth, Some(8)) };
        let here = [link(Kind::Veth, Some(7)), other];
        let mut found = Found { wires: vec![known], ..Found::default() };
        assert!(!found.awaits_somebody());
        found.wires.extend(unknown(&here, &found));
        let ends: Vec<_> = found.wires.iter().map(|end| (end.index, end.cgroups[0])).collect();
        assert_eq!(ends, [(3, 42), (4, 0)]);
        assert!(found.awaits_somebody());
        found = Found { crowded: vec![3, 4], ..Found::default() };
        assert!(unknown(&here, &found).is_empty(), "whoever is there is known");
    }
}
