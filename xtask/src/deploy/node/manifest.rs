//! What the manifest asks a runtime for, by its own lines.

use std::path::PathBuf;

/// What containerd grants when nothing is said: what the manifest does not add is dropped.
pub(super) const GRANTED: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// What the manifest adds.
pub(super) fn capabilities(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != "add:").skip(1);
    lines.map_while(|line| line.strip_prefix("- ")).map(str::to_owned).collect()
}

/// Where from (empty: the settings), where to and how.
pub(super) fn mounts(manifest: &str) -> Vec<(PathBuf, String, &'static str)> {
    let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
    let of_host = |name: &str| {
        let at = lines.iter().position(|line| *line == format!("- name: {name}"))?;
        let path = lines.get(at + 1)?.strip_prefix("hostPath: { path: ")?;
        Some(PathBuf::from(path.split([',', ' ']).next()?))
    };
    let mounts = lines.iter().filter_map(|line| {
        let (name, rest) = line.strip_prefix("- { name: ")?.split_once(", mountPath: ")?;
        let to = rest.split([',', ' ']).next()?.to_owned();
        let how = if line.contains("readOnly: true") { "rbind:ro" } else { "rbind:rw" };
        Some((of_host(name).unwrap_or_default(), to, how))
    });
    mounts.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::project;

    #[test]
    fn the_manifest_says_what_is_mounted_and_granted() {
        let path = project::root().join("deploy/kubernetes/sentinel.yaml");
        let manifest = fs::read_to_string(path).unwrap();
        assert!(capabilities(&manifest).iter().any(|name| name == "NET_ADMIN"));
        let mounts = mounts(&manifest);
        assert!(mounts.contains(&(
            "/sys/fs/cgroup".into(),
            "/sys/fs/cgroup".to_owned(),
            "rbind:ro"
        )));
        assert!(mounts.contains(&(PathBuf::new(), "/etc/sentinel".to_owned(), "rbind:ro")));
    }
}
