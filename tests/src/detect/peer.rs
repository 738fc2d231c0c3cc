//! nDPI's `ndpiReader`, where it is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

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
        self.ask(0, file)
    }

    /// How many flows of these captures it labels mining. (Given several files at once it writes down
    /// the flows of one.)
    pub(super) fn labelled(&self, files: &[PathBuf]) -> usize {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = files.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let count = |(number, files): (usize, &[PathBuf])| {
                let ask = |file: &PathBuf| self.ask(number, file).map_or(0, |found| found.len());
                files.iter().map(ask).sum::<usize>()
            };
            let asking: Vec<_> = files
                .chunks(share)
                .enumerate()
                .map(|files| scope.spawn(move || count(files)))
                .collect();
            asking.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
        })
    }

    /// The rows of one file; `number` keeps calls at the same time apart. A file that it cannot open
    /// has none.
    fn ask(&self, number: usize, file: &Path) -> Result<Vec<(u16, u16)>> {
        let table = self.scratch.path().join(format!("flows-{number}.csv"));
        // It adds to what is there.
        let _ = std::fs::remove_file(&table);
        Command::new("ndpiReader")
            .args(["-q", "-i"])
            .arg(file)
            .arg("-C")
            .arg(&table)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("cannot start ndpiReader")?;
        let text = std::fs::read(&table).unwrap_or_default();
        Ok(mining_rows(&String::from_utf8_lossy(&text)))
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
