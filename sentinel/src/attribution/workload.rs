//! What a cgroup path says of its workload: unit, container, pod. Shapes only, no question asked of
//! a runtime.

/// What a path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The innermost systemd unit, e.g. `nginx.service`.
    pub unit: Option<String>,
    /// The container's id, 64 hexadecimal digits.
    pub container: Option<String>,
    /// The pod's uid, with dashes.
    pub pod_uid: Option<String>,
}

/// Reads a cgroup path.
#[must_use]
pub fn of_path(path: &str) -> Workload {
    let mut workload = Workload::default();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if let Some(uid) = pod_uid(part) {
            workload.pod_uid = Some(uid);
        } else if let Some(id) = container(part) {
            workload.container = Some(id.to_owned());
        } else if is_unit(part) {
            workload.unit = Some(part.to_owned());
        }
    }
    workload
}

/// A scope or service; slices are only folders. Escapes (`\x2d`) stay as systemd writes them.
fn is_unit(part: &str) -> bool {
    part.ends_with(".service") || part.ends_with(".scope")
}

/// `<id>` under a cgroupfs driver, `docker-<id>.scope`, `cri-containerd-<id>.scope`,
/// `crio-<id>.scope`, `libpod-<id>.scope` under the systemd one, and `libpod-payload-<id>`.
fn container(part: &str) -> Option<&str> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit(['-', ':']).next().unwrap_or(name);
    let hex = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex.then_some(id)
}

/// `pod<uid>` under a cgroupfs driver, `kubepods-burstable-pod<uid with underscores>.slice` else.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = if let Some(rest) = name.strip_prefix("kubepods-") {
        rest.rsplit_once("pod").map(|(_, uid)| uid)?
    } else {
        name.strip_prefix("pod")?
    };
    let uid = uid.replace('_', "-");
    let shaped =
        uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    shaped.then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f29b1c7a4e5d6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819a2b3c4d5e6f7";

    #[test]
    fn paths_tell_their_workload() {
        let cases = [
            ("/system.slice/nginx.service".to_owned(), Some("nginx.service"), false, false),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope".to_owned(),
                Some("app-x.scope"),
                false,
                false,
            ),
            (format!("/system.slice/docker-{ID}.scope"), None, true, false),
            (format!("/docker/{ID}"), None, true, false),
            (format!("/machine.slice/libpod-{ID}.scope/container"), None, true, false),
            (
                format!("/kubepods/burstable/pod12345678-1234-1234-1234-123456789abc/{ID}"),
                None,
                true,
                true,
            ),
            (
                format!(
                    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod12345678_1234_1234_1234_123456789abc.slice/cri-containerd-{ID}.scope"
                ),
                None,
                true,
                true,
            ),
            ("/".to_owned(), None, false, false),
            ("/podman.slice/podcast".to_owned(), None, false, false),
        ];
        for (path, unit, container, pod) in cases {
            let workload = of_path(&path);
            assert_eq!(workload.unit.as_deref(), unit, "{path}");
            assert_eq!(workload.container.is_some(), container, "{path}");
            assert_eq!(workload.pod_uid.is_some(), pod, "{path}");
        }
    }
}
