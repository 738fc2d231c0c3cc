//! Paths as they were seen, or as the runtimes' sources write them.

use super::*;

const ID: &str = "3f29b1c7a4e5d6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819a2b3c4d5e6f7";
const UID: &str = "12345678-1234-1234-1234-123456789abc";

struct Expected {
    unit: Option<&'static str>,
    runtime: Option<Runtime>,
    container: Option<&'static str>,
    pod: bool,
}

const NOTHING: Expected = Expected { unit: None, runtime: None, container: None, pod: false };

const fn unit(unit: &'static str) -> Expected {
    Expected { unit: Some(unit), ..NOTHING }
}

const fn contained(runtime: Option<Runtime>, pod: bool) -> Expected {
    Expected { runtime, container: Some(ID), pod, ..NOTHING }
}

const fn named(runtime: Runtime, name: &'static str) -> Expected {
    Expected { runtime: Some(runtime), container: Some(name), ..NOTHING }
}

/// `{id}`, `{uid}` and `{_uid}` are put in.
fn check(cases: &[(&str, Expected)]) {
    for (pattern, expected) in cases {
        let path = pattern.replace("{_uid}", &UID.replace('-', "_"));
        let path = path.replace("{id}", ID).replace("{uid}", UID);
        let workload = of_path(&path);
        assert_eq!(workload.unit.as_deref(), expected.unit, "{path}");
        assert_eq!(workload.runtime, expected.runtime, "{path}");
        assert_eq!(workload.container.as_deref(), expected.container, "{path}");
        assert_eq!(workload.pod_uid.as_deref(), expected.pod.then_some(UID), "{path}");
    }
}

#[test]
fn units_and_plain_folders() {
    check(&[
        ("/", NOTHING),
        ("", NOTHING),
        ("/podman.slice/podcast", NOTHING),
        ("/system.slice/nginx.service", unit("nginx.service")),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope",
            unit("app-x.scope"),
        ),
        ("/machine.slice/machine-qemu\\x2d1\\x2ddb.scope", unit("machine-qemu\\x2d1\\x2ddb.scope")),
        (
            "/system.slice/foo-{uid}.service",
            unit("foo-12345678-1234-1234-1234-123456789abc.service"),
        ),
    ]);
}

#[test]
fn kubernetes_with_either_driver() {
    use Runtime::{Containerd, CriO, Docker};
    let pod = Expected { pod: true, ..NOTHING };
    let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_uid}.slice";
    let in_slice = |rest: &str| format!("{slice}{rest}");
    let systemd = [
        (in_slice("/cri-containerd-{id}.scope"), contained(Some(Containerd), true)),
        (in_slice("/cri-containerd-{id}.scope/init.scope"), {
            Expected { unit: Some("init.scope"), ..contained(Some(Containerd), true) }
        }),
        (in_slice("/crio-{id}.scope"), contained(Some(CriO), true)),
        (in_slice("/crio-{id}.scope/container"), contained(Some(CriO), true)),
        (in_slice("/docker-{id}.scope"), contained(Some(Docker), true)),
    ];
    for (path, expected) in systemd {
        check(&[(path.as_str(), expected)]);
    }
    check(&[
        (slice, pod),
        ("/kubepods.slice/kubepods-pod{_uid}.slice/crio-{id}.scope", contained(Some(CriO), true)),
        ("/kubepods/pod{uid}/{id}", contained(None, true)),
        ("/kubepods/burstable/pod{uid}/{id}", contained(None, true)),
        ("/kubepods/besteffort/pod{uid}/crio-{id}", contained(Some(CriO), true)),
        (
            "/kubepods-burstable-pod{_uid}.slice:cri-containerd:{id}",
            contained(Some(Containerd), true),
        ),
        (
            "/system.slice/containerd.service/kubepods-besteffort-pod{_uid}.slice:cri-containerd:{id}",
            contained(Some(Containerd), true),
        ),
    ]);
    let shape = of_path("/kubepods/burstable/pod0123456789abcdef0123456789abcdef");
    assert_eq!(shape.pod_uid.as_deref(), Some("0123456789abcdef0123456789abcdef"));
}

#[test]
fn nodes_within_containers_and_namespaces_within_namespaces() {
    use Runtime::{Containerd, Lxc};
    check(&[
        ("/docker/{id}/kubelet/kubepods/burstable/pod{uid}/{id}", contained(None, true)),
        (
            "/system.slice/docker-{id}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{_uid}.slice/cri-containerd-{id}.scope",
            contained(Some(Containerd), true),
        ),
        (
            "/docker/{id}/system.slice/kubelet.service",
            Expected { unit: Some("kubelet.service"), ..contained(Some(Runtime::Docker), false) },
        ),
        (
            "/lxc.payload.web/system.slice/nginx.service",
            Expected { unit: Some("nginx.service"), ..named(Lxc, "web") },
        ),
        ("/../../kubepods/burstable/pod{uid}/{id}", contained(None, true)),
        ("/../{id}", contained(None, false)),
        ("/..", NOTHING),
    ]);
}

#[test]
fn containers_without_kubernetes() {
    use Runtime::{Containerd, Docker, Lxc, Nspawn, Podman};
    check(&[
        ("/docker/{id}", contained(Some(Docker), false)),
        ("/system.slice/docker-{id}.scope", contained(Some(Docker), false)),
        ("/system.slice/nerdctl-{id}.scope", contained(Some(Containerd), false)),
        ("/machine.slice/libpod-{id}.scope", contained(Some(Podman), false)),
        ("/machine.slice/libpod-{id}.scope/container", contained(Some(Podman), false)),
        ("/libpod_parent/libpod-{id}", contained(Some(Podman), false)),
        (
            "/machine.slice/machine-libpod_pod_{id}.slice/libpod-{id}.scope",
            contained(Some(Podman), false),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container",
            contained(Some(Podman), false),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/libpod-payload-{id}",
            contained(Some(Podman), false),
        ),
        ("/machine.slice/systemd-nspawn@web.service/payload", {
            Expected { unit: Some("systemd-nspawn@web.service"), ..named(Nspawn, "web") }
        }),
        ("/machine.slice/machine-my\\x2dbox.scope", named(Nspawn, "my-box")),
        ("/lxc.payload.db-1", named(Lxc, "db-1")),
        ("/lxc.payload/db-1", named(Lxc, "db-1")),
        ("/lxc.monitor/db-1", NOTHING),
        ("/lxc/101/ns", named(Lxc, "101")),
        ("/lxc.monitor.db-1", NOTHING),
    ]);
    for (path, folder) in [
        (format!("/docker/{ID}/system.slice/a.service"), Some(format!("/docker/{ID}"))),
        ("/lxc.payload.a/x".to_owned(), Some("/lxc.payload.a".to_owned())),
        (
            "/machine.slice/machine-a.scope".to_owned(),
            Some("/machine.slice/machine-a.scope".to_owned()),
        ),
        ("/system.slice/a.service".to_owned(), None),
    ] {
        assert_eq!(container_folder(&path).map(str::to_owned), folder, "{path}");
    }
    // Whoever watches a container is not in it.
    for name in ["libpod-conmon", "crio-conmon"] {
        let shape = of_path(&format!("/machine.slice/{name}-{ID}.scope"));
        assert!(shape.container.is_none() && shape.unit.is_some(), "{name}");
    }
}

/// One container each, by the layout and driver that it is run under.
#[test]
fn layouts_and_drivers() {
    use Runtime::{Containerd, CriO, Docker, Lxc, Nspawn, Podman};
    check(&[
        // Docker: a parent of its own, rootless, in Docker, as ECS has it.
        ("/workloads/{id}", contained(None, false)),
        ("/workloads.slice/docker-{id}.scope", contained(Some(Docker), false)),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{id}.scope",
            contained(Some(Docker), false),
        ),
        ("/docker/{id}/docker/{id}", contained(Some(Docker), false)),
        ("/system.slice/docker-{id}.scope/docker/{id}/work", contained(Some(Docker), false)),
        ("/ecs/0123456789abcdef0123456789abcdef/{id}", contained(None, false)),
        // What runs them is in none.
        ("/system.slice/docker.service", unit("docker.service")),
        ("/system.slice/containerd.service", unit("containerd.service")),
        // Podman: a unit that is a container (quadlet), its watcher, a pod's slice, rootless with a pod.
        ("/system.slice/web.service/libpod-payload-{id}", contained(Some(Podman), false)),
        ("/system.slice/web.service/supervisor", unit("web.service")),
        ("/machine.slice/machine-libpod_pod_{id}.slice", NOTHING),
        ("/libpod_parent/{id}/libpod-{id}", contained(Some(Podman), false)),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_{id}.slice/libpod-{id}.scope/container",
            contained(Some(Podman), false),
        ),
        // CRI-O, under either driver; its watcher is the pod's.
        ("/kubepods/burstable/pod{uid}/crio-{id}/container", contained(Some(CriO), true)),
        ("/kubepods/burstable/pod{uid}/crio-conmon-{id}", Expected { pod: true, ..NOTHING }),
        // runc without systemd takes a path in systemd's form by its word, whatever is around it.
        (
            "/docker/{id}/kubepods-pod{_uid}.slice:cri-containerd:{id}",
            contained(Some(Containerd), true),
        ),
        ("/kubepods-besteffort-pod{_uid}.slice:crio:{id}", contained(Some(CriO), true)),
        ("/system.slice:docker:{id}", contained(Some(Docker), false)),
        ("/user.slice:libpod:{id}", contained(Some(Podman), false)),
        ("/system.slice:nerdctl:{id}", contained(Some(Containerd), false)),
        // systemd-nspawn: escapes are undone, what is inside keeps its unit.
        ("/machine.slice/machine-my\\x2dweb\\x2d1.scope/payload", named(Nspawn, "my-web-1")),
        ("/machine.slice/machine-my\\x2dbox.scope/payload/system.slice/nginx.service", {
            Expected { unit: Some("nginx.service"), ..named(Nspawn, "my-box") }
        }),
        ("/machine.slice/systemd-nspawn@my\\x2dbox.service/supervisor", {
            let unit = Some("systemd-nspawn@my\\x2dbox.service");
            Expected { unit, ..named(Nspawn, "my-box") }
        }),
        // LXC: below a user, in LXC, by libvirt, which also has machines that are none.
        (
            "/user.slice/user-1000.slice/session-3.scope/lxc.payload.web/system.slice/a.service",
            Expected { unit: Some("a.service"), ..named(Lxc, "web") },
        ),
        ("/lxc/101/ns/system.slice/docker-{id}.scope", contained(Some(Docker), false)),
        ("/lxc.payload.outer/lxc.payload.inner", named(Lxc, "inner")),
        ("/machine.slice/machine-lxc\\x2d4242\\x2dmy\\x2dweb.scope", named(Lxc, "my-web")),
        ("/machine.slice/machine-lxc\\x2dbox.scope", named(Nspawn, "lxc-box")),
        ("/system.slice/machine-web.scope", unit("machine-web.scope")),
    ]);
}

#[test]
fn nothing_in_a_path_makes_it_fail() {
    let euros = "€".repeat(40);
    for path in ["/pod", "/-", "/:", "/::", "/pod:", "/kubepods-.slice", "/machine-.scope", &euros]
    {
        assert_eq!(of_path(path).container, None, "{path}");
        assert_eq!(of_path(path).pod_uid, None, "{path}");
    }
}
