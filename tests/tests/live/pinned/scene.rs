//! A bpffs of the test's own, a laboratory with a crowd of servers and one resolver, and the settings
//! of agents that pin what they enforce.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use aya::maps::{MapData, MapInfo};
use aya::programs::loaded_programs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::netlab::{Lab, PEER_HOSTS, Subnet};
use sentinel_tests::resolver::member;
use tempfile::TempDir;

/// A bpffs, gone with all that is pinned there when it is dropped.
struct Bpffs(TempDir);

impl Bpffs {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sentinel-pins-").tempdir()?;
        mount("bpf", folder.path(), "bpf", MountFlags::empty(), c"mode=0700")
            .context("no bpffs can be mounted")?;
        Ok(Self(folder))
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.0.path(), UnmountFlags::DETACH) {
            eprintln!("the bpffs stays behind: {error}");
        }
    }
}

pub struct Scene {
    pub lab: Lab,
    pub workload: TestCgroup,
    pub cgroup: TestCgroup,
    /// The one resolver that is believed; nobody is there yet.
    pub server: IpAddr,
    settings: TempDir,
    bpffs: Bpffs,
}

impl Scene {
    /// Names below `lab.example` are allowed, and the laboratory's own network.
    pub fn set(name: &str, number: u8) -> Result<Self> {
        let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
        lab.add_crowd(member(0))?;
        let cgroup = TestCgroup::unique(name)?;
        let workload = cgroup.child("workload")?;
        let [host, ..] = PEER_HOSTS;
        let server: IpAddr = lab.subnet().v4(host).into();
        let settings = tempfile::tempdir()?;
        let policy = format!(
            "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {{name: node}}\nspec:\n  \
             mode: enforce\n  egress:\n    - toCIDRs: [\"{}\"]\n    - toFQDNs: [\"*.lab.example\"]\n",
            lab.subnet().cidr4(),
        );
        fs::write(settings.path().join("policy.yaml"), policy)?;
        let config = format!(
            "mode: enforce\npolicies: [policy.yaml]\nresolvers: [\"{server}\"]\ndiscoverResolvers: false\n"
        );
        fs::write(settings.path().join("config.yaml"), config)?;
        Ok(Self { lab, workload, cgroup, server, settings, bpffs: Bpffs::new()? })
    }

    pub fn folder(&self) -> PathBuf {
        self.bpffs.0.path().join("sentinel")
    }

    /// An agent that pins.
    pub fn agent(&self) -> Result<Agent> {
        let (config, folder) = (self.settings.path().join("config.yaml"), self.folder());
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not UTF-8");
        Agent::start(&self.cgroup, &["--config", &text(&config)?, "--pin", &text(&folder)?])
    }

    pub fn unpin(&self) -> Result<Output> {
        let mut command = Command::new(sentinel_program()?);
        Ok(command.arg("unpin").arg(self.folder()).output()?)
    }

    /// Has what is pinned look as if an agent had left it that lays its maps out otherwise; of what is
    /// learned of names only where that is said.
    pub fn disguise(&self, names_too: bool) -> Result<()> {
        for entry in fs::read_dir(self.folder())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((kind, _)) = name.split_once('-') else { continue };
            if kind == "maps" || names_too {
                fs::rename(&path, path.with_file_name(format!("{kind}-0123456789abcdef")))?;
            }
        }
        Ok(())
    }

    /// Programs in the kernel that read by the pinned configuration.
    pub fn programs(&self) -> Result<usize> {
        let folder = fs::read_dir(self.folder())?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_maps = |path: &PathBuf| path.to_string_lossy().contains("/maps-");
        let maps = folder.filter(is_maps).collect::<Vec<_>>();
        let [maps] = maps.as_slice() else { anyhow::bail!("not one layout: {maps:?}") };
        let config: MapInfo = MapData::from_pin(maps.join("CONFIG"))?.info()?;
        let mut count = 0;
        for program in loaded_programs() {
            // One that ends meanwhile is none.
            let Ok(program) = program else { continue };
            let ids = program.map_ids().ok().flatten().unwrap_or_default();
            count += usize::from(ids.contains(&config.id()));
        }
        Ok(count)
    }
}
