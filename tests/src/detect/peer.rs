//! nDPI's `ndpiReader`, where it is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Files that one call reads at most (`MAX_NUM_READER_THREADS`, a thread each).
const BATCH: usize = 16;

/// The program and a folder for what it writes.
pub(super) struct Peer {
    scratch: tempfile::TempDir,
    version: String,
}

impl Peer {
    /// Looks for it.
    pub(super) fn find() -> Option<Self> {
        let output = Command::new("ndpiReader").arg("-h").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = || text.split(|c: char| c.is_whitespace() || c == ']' || c == '[');
        let is_version = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_digit()) && word.matches('.').count() >= 2
        };
        let version = words().find(is_version).unwrap_or("").to_owned();
        Some(Self { scratch: tempfile::tempdir().ok()?, version })
    }

    /// What to call it in a table's head.
    pub(super) fn name(&self) -> String {
        format!("nDPI {}", self.version).trim_end().to_owned()
    }

    /// The ports of the flows of a capture that it labels mining.
    pub(super) fn mining(&self, file: &Path) -> Result<Vec<(u16, u16)>> {
        self.ask(&[file.to_path_buf()]).map(Option::unwrap_or_default)
    }

    /// How many flows of these captures it labels mining, and in which.
    pub(super) fn labelled(&self, files: &[PathBuf]) -> Result<(usize, Vec<PathBuf>)> {
        let (mut flows, mut named) = (0, Vec::new());
        for batch in files.chunks(BATCH) {
            // A batch with a file that it cannot open ends early: then each alone.
            if self.ask(batch)?.is_some_and(|found| found.is_empty()) {
                continue;
            }
            for file in batch {
                let found = self.mining(file)?.len();
                flows += found;
                named.extend((found > 0).then(|| file.clone()));
            }
        }
        Ok((flows, named))
    }

    /// Asks once; `None` when it failed.
    fn ask(&self, files: &[PathBuf]) -> Result<Option<Vec<(u16, u16)>>> {
        let table = self.scratch.path().join("flows.csv");
        // It adds to what is there.
        let _ = std::fs::remove_file(&table);
        let list: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let status = Command::new("ndpiReader")
            .args(["-q", "-i", &list.join(","), "-C"])
            .arg(&table)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("cannot start ndpiReader")?;
        let text = std::fs::read(&table).unwrap_or_default();
        let found = mining_rows(&String::from_utf8_lossy(&text));
        Ok(status.success().then_some(found))
    }
}

/// The ports of rows whose protocol is mining.
fn mining_rows(table: &str) -> Vec<(u16, u16)> {
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| head.iter().position(|column| *column == name);
    let (Some(source), Some(destination), Some(protocol)) =
        (column("src_port"), column("dst_port"), column("ndpi_proto"))
    else {
        return Vec::new();
    };
    let ports = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let port = |at: usize| cells.get(at).and_then(|cell| cell.parse().ok());
        let mining = cells.get(protocol).is_some_and(|label| label.contains("Mining"));
        mining.then(|| Some((port(source)?, port(destination)?))).flatten()
    };
    lines.filter_map(ports).collect()
}

#[cfg(test)]
mod tests {
    use super::mining_rows;

    #[test]
    fn only_mining_rows_count() {
        let table = "#flow_id,protocol,src_port,dst_port,ndpi_proto\n\
                     1,6,40000,3333,Mining\n2,6,40001,443,TLS\n3,6,40002,443,TLS.Mining\n4,6\n";
        assert_eq!(mining_rows(table), [(40000, 3333), (40002, 443)]);
        assert_eq!(mining_rows(""), []);
    }
}
