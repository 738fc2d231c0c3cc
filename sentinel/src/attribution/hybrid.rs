//! Containers of a hybrid host. There runc before 1.1 puts a container into the v1 hierarchies alone: its
//! cgroup2 path is that of whoever started the runtime, or `/`. The kernel's hooks know a socket by its cgroup2
//! alone, so no policy on containers or pods can be on such a one; who it is can be told all the same.

use super::workload::of_path;

/// The hierarchies that tell best, in this order: systemd's own, and two that every runtime asks for. Of others
/// the first that tells of a container counts.
const BEST: [&str; 3] = ["name=systemd", "pids", "memory"];

/// Where a v1 hierarchy has a container that cgroup2 does not tell of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct V1 {
    /// The hierarchy, by its controllers: `name=systemd`.
    pub hierarchy: String,
    /// The path in it.
    pub path: String,
}

/// What the lines of a `/proc/PID/cgroup`, `NUMBER:CONTROLLERS:PATH`, tell of a container that is in v1
/// hierarchies alone.
#[must_use]
pub fn container(lines: &str) -> Option<V1> {
    let all = lines.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        of_path(path).is_contained().then_some((controllers, path))
    });
    let mut all: Vec<(&str, &str)> = all.collect();
    if all.iter().any(|(controllers, _)| controllers.is_empty()) {
        return None;
    }
    let rank = |controllers: &str| {
        let is = |best: &&str| controllers.split(',').any(|controller| controller == *best);
        BEST.iter().position(is).unwrap_or(BEST.len())
    };
    all.sort_by_key(|(controllers, _)| rank(controllers));
    let (hierarchy, path) = all.first()?;
    Some(V1 { hierarchy: (*hierarchy).to_owned(), path: (*path).to_owned() })
}

/// Whether a process with these lines is on a host with v1 hierarchies.
#[must_use]
pub fn is_hybrid(lines: &str) -> bool {
    lines.lines().any(|line| !line.starts_with("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::workload::{Runtime, Workload};

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "12345678-1234-1234-1234-123456789abc";

    fn told(lines: &[String]) -> Option<(String, Workload)> {
        container(&lines.join("\n")).map(|found| (found.hierarchy, of_path(&found.path)))
    }

    /// A process's lines as a hybrid host has them: everywhere the same path, and another in cgroup2.
    fn lines(v1: &str, v2: &str) -> Vec<String> {
        ["11:memory", "10:cpu,cpuacct", "4:pids", "2:devices", "1:name=systemd"]
            .map(|hierarchy| format!("{hierarchy}:{v1}"))
            .into_iter()
            .chain([format!("0::{v2}")])
            .collect()
    }

    #[test]
    fn the_v1_path_tells_where_cgroup2_does_not() {
        let under = UID.replace('-', "_");
        let cases = [
            (format!("/docker/{ID}"), "/", Some(Runtime::Docker), None),
            (
                format!("/docker/{ID}"),
                "/system.slice/containerd.service",
                Some(Runtime::Docker),
                None,
            ),
            (format!("/system.slice/docker-{ID}.scope"), "/", Some(Runtime::Docker), None),
            (
                format!("/kubepods/burstable/pod{UID}/{ID}"),
                "/system.slice/containerd.service",
                None,
                Some(UID),
            ),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                "/",
                Some(Runtime::Containerd),
                Some(UID),
            ),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{ID}.scope"),
                "/",
                Some(Runtime::CriO),
                Some(UID),
            ),
            (
                format!("/machine.slice/libpod-{ID}.scope"),
                "/user.slice/x.scope",
                Some(Runtime::Podman),
                None,
            ),
            (format!("/libpod_parent/libpod-{ID}"), "/", Some(Runtime::Podman), None),
        ];
        for (v1, v2, runtime, uid) in cases {
            let (hierarchy, of) = told(&lines(&v1, v2)).unwrap_or_else(|| panic!("{v1}"));
            assert_eq!(hierarchy, "name=systemd", "{v1}");
            assert_eq!((of.container.as_deref(), of.runtime), (Some(ID), runtime), "{v1}");
            assert_eq!(of.pod_uid.as_deref(), uid, "{v1}");
        }
    }

    #[test]
    fn where_cgroup2_tells_it_is_believed() {
        let docker = format!("/docker/{ID}");
        let other = format!("/docker/{}", ID.replace('0', "f"));
        assert_eq!(told(&lines(&docker, &docker)), None);
        assert_eq!(told(&lines(&docker, &other)), None, "policies are on that one");
        assert_eq!(told(&lines("/system.slice/cron.service", "/system.slice/cron.service")), None);
        assert_eq!(told(&[format!("0::{docker}")]), None);
    }

    #[test]
    fn systemds_hierarchy_is_asked_first_and_others_after_it() {
        let of = |known: &[(&str, &str)]| {
            let lines = known.iter().map(|(hierarchy, path)| format!("3:{hierarchy}:{path}"));
            told(&lines.chain(["0::/".to_owned()]).collect::<Vec<_>>()).map(|(name, _)| name)
        };
        let docker = format!("/docker/{ID}");
        let service = "/system.slice/docker.service";
        assert_eq!(of(&[("name=systemd", service), ("pids", &docker)]).as_deref(), Some("pids"));
        assert_eq!(of(&[("devices", &docker), ("memory", &docker)]).as_deref(), Some("memory"));
        assert_eq!(of(&[("cpu,cpuacct", &docker)]).as_deref(), Some("cpu,cpuacct"));
        assert_eq!(of(&[("name=systemd", service)]), None);
        for nonsense in ["", ":", "1:x", "::", "0::", "a:b:c:d"] {
            assert_eq!(container(nonsense), None, "{nonsense:?}");
        }
        assert!(is_hybrid("1:name=systemd:/\n0::/\n") && !is_hybrid("0::/init.scope\n"));
    }
}
