//! What can go wrong at the border, each as one sentence with the mend.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the datapath could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Not enough privilege.
    #[error(
        "loading kernel programs needs {missing}: run as root, or with those capabilities in the initial user namespace"
    )]
    Privileges {
        /// The capabilities that are missing.
        missing: String,
    },
    /// Not enough memory that may be locked.
    #[error(
        "below Linux 5.11 maps count as locked memory, of which this process may not have enough: grant CAP_SYS_RESOURCE, or start it with LimitMEMLOCK=infinity (`ulimit -l unlimited`)"
    )]
    LockedMemory,
    /// The kernel is older than the floor.
    #[error(
        "kernel {found} is too old: sentinel needs 5.10 or newer (cgroup links, the ring buffer and global BPF functions)"
    )]
    TooOld {
        /// The release that runs.
        found: String,
    },
    /// No type information.
    #[error(
        "this kernel tells no types (/sys/kernel/btf/vmlinux is missing): boot one built with CONFIG_DEBUG_INFO_BTF=y, as all current distributions ship"
    )]
    NoBtf,
    /// No cgroup2 hierarchy.
    #[error(
        "no cgroup2 hierarchy is mounted: mount one with `mount -t cgroup2 none /sys/fs/cgroup/unified`, or boot with systemd.unified_cgroup_hierarchy=1"
    )]
    NoCgroup2,
    /// The directory asked for is none of cgroup2.
    #[error("{path} is not a cgroup2 directory: name one below {root}")]
    NotACgroup {
        /// The directory.
        path: PathBuf,
        /// Where cgroup2 is mounted.
        root: PathBuf,
    },
    /// What looks like the root is not.
    #[error(
        "{path} shows one container's cgroups and not the host's, whose workloads would not be judged: mount the host's /sys/fs/cgroup here, or name the cgroup that is meant with --cgroup"
    )]
    VirtualRoot {
        /// Where cgroup2 is mounted.
        path: PathBuf,
    },
    /// Sockets may be judged by the root cgroup.
    #[error(
        "with {tags} mounted this kernel takes sockets for the root cgroup's as soon as a group is tagged, so what is enforced may miss its workload: boot 5.15 or newer, unmount {tags}, stay with `--mode audit`, or accept it with `--root-fallback accept`"
    )]
    RootFallback {
        /// The v1 controllers.
        tags: String,
    },
    /// Pins have no place there.
    #[error(
        "{path} is not a folder directly on a bpffs: mount one with `mount -t bpf bpf /sys/fs/bpf` and pin in /sys/fs/bpf/sentinel, or leave `pin` out"
    )]
    NoBpffs {
        /// The folder.
        path: PathBuf,
    },
    /// Another agent has the pins.
    #[error("a running agent holds the pins in {path}: stop it first")]
    PinsHeld {
        /// The folder.
        path: PathBuf,
    },
    /// Some pins are missing.
    #[error(
        "what is pinned in {path} does not belong together, and stays in force: `sentinel unpin {path}` takes it away, then start again"
    )]
    TornPins {
        /// The folder.
        path: PathBuf,
    },
    /// The build carries no programs.
    #[error(
        "this build carries no kernel programs (it was built with AYA_BUILD_SKIP=1): build it again with `cargo xtask run`"
    )]
    NoPrograms,
    /// A program or map of another version.
    #[error(
        "the kernel object has no {what} `{name}`: agent and programs are of different versions, build them together"
    )]
    Missing {
        /// Program or map.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The kernel refused.
    #[error("the kernel refused {what}: {why}")]
    Refused {
        /// What was tried.
        what: String,
        /// The reason, and the verifier's last lines where there are any.
        why: String,
    },
    /// A file could not be read.
    #[error("{path} could not be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OpenError {
    /// A refusal, with the end of the verifier's log: its beginning is megabytes.
    pub(super) fn refused(
        what: impl Into<String>,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            why = format!("{why}: {cause}");
            source = cause.source();
        }
        let lines: Vec<&str> = why.lines().collect();
        if let Some((first, rest)) = lines.split_first()
            && rest.len() > 12
        {
            let tail = rest.get(rest.len() - 12..).unwrap_or(rest).join("\n");
            why = format!("{first}\n  ...\n{tail}");
        }
        Self::Refused { what: what.into(), why }
    }
}

/// Why the kernel could not be told or asked something.
#[derive(Debug, Error)]
pub enum DatapathError {
    /// A map refused an update or a read.
    #[error("the kernel map {map} refused {what}: {why}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// What was tried.
        what: &'static str,
        /// The reason.
        why: String,
    },
    /// The hooks could not be given their programs.
    #[error("the hooks could not be given their programs: {0}")]
    Links(Box<OpenError>),
    /// The feeds were refused.
    #[error("the feeds were not taken, {now}: {why}")]
    Feeds {
        /// What the kernel refused.
        why: Box<DatapathError>,
        /// What is in force.
        now: &'static str,
    },
    /// A wire cannot be judged at this end.
    #[error("what leaves by {interface} cannot be judged at this end: {why}")]
    Wire {
        /// The interface.
        interface: String,
        /// The reason.
        why: String,
    },
}

impl DatapathError {
    pub(super) fn map(
        map: &'static str,
        what: &'static str,
        error: &dyn std::error::Error,
    ) -> Self {
        Self::Map { map, what, why: error.to_string() }
    }

    pub(super) fn wire(interface: &str, error: &dyn std::error::Error) -> Self {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Wire { interface: interface.to_owned(), why: format!("{error}{cause}") }
    }

    pub(super) fn absent(map: &'static str) -> Self {
        Self::Map { map, what: "everything", why: "the object has no such map".to_owned() }
    }
}
