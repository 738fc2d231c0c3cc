//! The few kernel modules that a guest needs, with those that they need.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A wire between namespaces and a bridge for it, the socket diagnostics behind SOCK_DESTROY, traffic
/// control, what the bypass tests try (with the algorithms that IPsec asks for by name), and a disk. What a
/// kernel has built in is simply not found among its modules.
const WANTED: [&str; 31] = [
    "veth",
    "bridge",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "sch_ingress",
    "cls_bpf",
    "tun",
    "vxlan",
    "ip_gre",
    "ip6_gre",
    "wireguard",
    "crypto_null",
    "sha256_generic",
    "hmac",
    "authenc",
    "echainiv",
    "xfrm_user",
    "esp4",
    "esp6",
    "sctp",
    "dccp",
    "dccp_ipv4",
    "dccp_ipv6",
    "smc",
    "rds",
    "rds_tcp",
    "l2tp_ip",
    "l2tp_ip6",
    "virtio_blk",
    "vsock",
];

/// What a cached kernel was unpacked for: another list of modules means to fetch it again.
pub(super) fn stamp() -> String {
    format!("modules: {}\n", WANTED.join(" "))
}

/// Copies the wanted modules into a folder, uncompressed and numbered in loading order.
pub(super) fn gather(tree: &Path, into: &Path) -> Result<()> {
    let mut index = BTreeMap::new();
    find(tree, &mut index)?;
    let mut done = Vec::new();
    for name in WANTED {
        add(name, &index, into, &mut done)?;
    }
    Ok(())
}

fn add(
    name: &str,
    index: &BTreeMap<String, PathBuf>,
    into: &Path,
    done: &mut Vec<String>,
) -> Result<()> {
    let Some(path) = index.get(name) else { return Ok(()) };
    if done.iter().any(|known| known == name) {
        return Ok(());
    }
    let object = read(path)?;
    for needed in dependencies(&object) {
        add(&needed, index, into, done)?;
    }
    fs::write(into.join(format!("{:02}-{name}.ko", done.len())), object)?;
    done.push(name.to_owned());
    Ok(())
}

fn find(folder: &Path, index: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), index)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            index.insert(name.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let tool = match path.extension().unwrap_or_default().to_string_lossy().as_ref() {
        "xz" => "xz",
        "zst" => "zstd",
        _ => return Ok(fs::read(path)?),
    };
    let output = Command::new(tool).arg("-dc").arg(path).output();
    let output = output.with_context(|| format!("cannot start {tool}: install it"))?;
    if !output.status.success() {
        bail!("{} does not decompress: remove .cache/kernels and run this again", path.display());
    }
    Ok(output.stdout)
}

/// What the module says of itself: `depends=one,two` between two zero bytes.
fn dependencies(object: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = object.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = object.get(at + KEY.len()..).unwrap_or_default();
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value).replace('-', "_");
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_what_it_needs() {
        assert_eq!(
            dependencies(b"x\0license=GPL\0depends=inet-diag,b\0name=x\0"),
            ["inet_diag", "b"]
        );
        assert!(dependencies(b"x\0depends=\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }
}
