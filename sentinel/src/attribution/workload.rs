//! What a cgroup path says of its workload: unit, container, pod. Shapes only, no question asked of
//! a runtime. A path is read from the outside in: what lies within a container is that container's.

use crate::event::word::word_enum;

word_enum! {
    /// What made a container's cgroup.
    Runtime {
        /// containerd, also beneath Kubernetes.
        Containerd => "containerd",
        /// CRI-O.
        CriO => "cri-o",
        /// Docker.
        Docker => "docker",
        /// Podman, or another user of libpod.
        Podman => "podman",
        /// systemd-nspawn, or whoever registered a machine with systemd.
        Nspawn => "nspawn",
        /// LXC, also beneath Incus or Proxmox.
        Lxc => "lxc",
    }
}

/// What a path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The innermost systemd unit, e.g. `nginx.service`.
    pub unit: Option<String>,
    /// The innermost container: 64 hexadecimal digits, or its name where the runtime gives names.
    pub container: Option<String>,
    /// Whose container that is; Kubernetes on cgroupfs does not say.
    pub runtime: Option<Runtime>,
    /// The pod's uid, with dashes.
    pub pod_uid: Option<String>,
}

impl Workload {
    /// Whether it is a container, or lies in one or in a pod.
    #[must_use]
    pub const fn is_contained(&self) -> bool {
        self.container.is_some() || self.pod_uid.is_some()
    }
}

/// Reads a cgroup path, as `/proc/PID/cgroup` shows it; `..` stands there for what lies outside the
/// reader's cgroup namespace.
#[must_use]
pub fn of_path(path: &str) -> Workload {
    let mut workload = Workload::default();
    let mut around = "";
    for part in path.split('/').filter(|part| !matches!(*part, "" | "..")) {
        // runc without systemd takes a systemd path by its word: `SLICE:PREFIX:ID`.
        let folder = part.split(':').next().unwrap_or(part);
        if let Some(uid) = pod_uid(folder) {
            // A pod within a container: a node that is a container itself.
            workload = Workload { pod_uid: Some(uid), ..Workload::default() };
        }
        if let Some((runtime, id)) = container(part, around) {
            let pod_uid = workload.pod_uid.take();
            // A service that is a container is both.
            let unit = part.ends_with(".service").then(|| part.to_owned());
            workload = Workload { runtime, container: Some(id), pod_uid, unit };
        } else if is_unit(part) {
            workload.unit = Some(part.to_owned());
        }
        around = part;
    }
    workload
}

/// The folder of the innermost container on a path.
#[must_use]
pub fn container_folder(path: &str) -> Option<&str> {
    let whole = of_path(path);
    whole.container.as_ref()?;
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let folders = ends.filter_map(|end| path.get(..end));
    { folders }.find(|folder| {
        let found = of_path(folder);
        found.container == whole.container && found.pod_uid == whole.pod_uid
    })
}

/// A scope or service; slices are only folders. Escapes (`\x2d`) stay as systemd writes them.
fn is_unit(part: &str) -> bool {
    part.ends_with(".service") || part.ends_with(".scope")
}

/// What stands before a container's id, by the runtime that writes it.
const PREFIXES: [(&str, Runtime); 7] = [
    ("cri-containerd", Runtime::Containerd),
    ("nerdctl", Runtime::Containerd),
    ("crio", Runtime::CriO),
    ("docker", Runtime::Docker),
    ("libpod", Runtime::Podman),
    ("libpod-payload", Runtime::Podman),
    ("lxc", Runtime::Lxc),
];

/// The container that a folder is of, with its runtime; `around` is the folder that it lies in.
fn container(part: &str, around: &str) -> Option<(Option<Runtime>, String)> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    if let Some((prefix, id)) = digits(name) {
        let prefix = prefix.rsplit_once(':').map_or(prefix, |(_, prefix)| prefix);
        // The process that watches a container lives beside it, under its id.
        if prefix == "conmon" || prefix.ends_with("-conmon") {
            return None;
        }
        let word = if prefix.is_empty() { around } else { prefix };
        let runtime = PREFIXES.iter().find(|(known, _)| *known == word);
        return Some((runtime.map(|(_, runtime)| *runtime), id.to_owned()));
    }
    let named = |runtime, name: &str| {
        let name = name.replace("\\x2d", "-");
        (!name.is_empty()).then_some((Some(runtime), name))
    };
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return named(Runtime::Lxc, name);
    }
    // LXC 3, and the first of LXC 4.
    if matches!(around, "lxc" | "lxc.payload") {
        return named(Runtime::Lxc, part);
    }
    let unit = part.strip_suffix(".service").and_then(|name| name.strip_prefix("systemd-nspawn@"));
    if let Some(name) = unit {
        return named(Runtime::Nspawn, name);
    }
    let machine = part.strip_suffix(".scope").and_then(|name| name.strip_prefix("machine-"));
    // Virtual machines are registered too.
    let machine =
        machine.filter(|name| around == "machine.slice" && !name.starts_with("qemu\\x2d"))?;
    match libvirts(machine) {
        Some(name) => named(Runtime::Lxc, name),
        None => named(Runtime::Nspawn, machine),
    }
}

/// The name of a container of libvirt's, `lxc\x2dNUMBER\x2dNAME`.
fn libvirts(machine: &str) -> Option<&str> {
    let (number, name) = machine.strip_prefix("lxc\\x2d")?.split_once("\\x2d")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !name.is_empty()).then_some(name)
}

/// Splits a name that ends in a container's id: what stands before it, and the id.
fn digits(name: &str) -> Option<(&str, &str)> {
    let start = name.len().checked_sub(64)?;
    let (before, id) = name.split_at_checked(start)?;
    let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let prefix = if before.is_empty() { before } else { before.strip_suffix(['-', ':'])? };
    hex.then_some((prefix, id))
}

/// `pod<uid>` under a cgroupfs driver, `kubepods-burstable-pod<uid with underscores>.slice` else, with
/// the slices around it in its name where the kubelet has a root of its own.
fn pod_uid(part: &str) -> Option<String> {
    let uid = match part.strip_suffix(".slice") {
        Some(name) if name.contains("kubepods-") => name.rsplit_once("-pod")?.1,
        Some(_) => return None,
        None => part.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    // A pod from a file has a hash without dashes.
    let shaped =
        uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    shaped.then_some(uid)
}

#[cfg(test)]
mod tests;
