//! The captures of a corpus: recall on what is mining, false positives on what is not.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::markdown::{number, percentiles, table};
use super::peer::Peer;
use super::reader::Readers;

/// Real captures with more than one session: file, what is in it, how many.
const SESSIONS: [(&str, &str, u64); 4] = [
    ("jsiwek__bitcoin-mining", "Bitcoin V1 3, getwork and getblocktemplate 5", 8),
    ("jsiwek__bitcoin-mining-in-progress", "Bitcoin V1 without its beginning", 3),
    ("ndpi__mining", "Zcash 2, EthProxy, xmr-stak", 4),
    ("p2p_ndpi__monero", "Monero peer-to-peer (no pool)", 4),
];
/// Folders with one session a file, in rows by the first word of the name or in one row.
const SINGLE: [(&str, bool); 2] = [("synthetic", false), ("evasion", true)];
const HONEST: [&str; 2] = ["lookalikes", "benign"];

/// The tables.
pub(super) fn measure(
    folder: &Path,
    readers: &mut Readers<'_>,
    peer: Option<&Peer>,
) -> Result<String> {
    if !folder.is_dir() {
        return Ok(format!(
            "Skipped: the captures are not here (`--corpus FOLDER`; {} is none).\n",
            folder.display()
        ));
    }
    let mut text = recall(folder, readers, peer)?;
    text += &false_positives(folder, readers, peer)?;
    Ok(text)
}

/// One row of the first table, as it grows.
#[derive(Default)]
struct Row {
    name: String,
    sessions: u64,
    caught: u64,
    by_peer: u64,
    bytes: Vec<u32>,
    missed: Vec<String>,
}

impl Row {
    fn add(
        &mut self,
        file: &Path,
        sessions: u64,
        readers: &Readers<'_>,
        peer: Option<&Peer>,
    ) -> Result<()> {
        let replayed = readers.read(file)?;
        let caught = (replayed.caught.len() as u64).min(sessions);
        self.sessions += sessions;
        self.caught += caught;
        self.bytes.extend(replayed.bytes);
        if let Some(peer) = peer {
            self.by_peer += (peer.mining(file)?.len() as u64).min(sessions);
        }
        if caught < sessions {
            self.missed.push(stem(file));
        }
        Ok(())
    }
}

fn recall(folder: &Path, readers: &Readers<'_>, peer: Option<&Peer>) -> Result<String> {
    let mut rows: Vec<Row> = Vec::new();
    for (name, what, sessions) in SESSIONS {
        let Some(file) = files(&folder.join("mining")).into_iter().find(|file| stem(file) == name)
        else {
            continue;
        };
        let mut row = Row { name: format!("real: {what}"), ..Row::default() };
        row.add(&file, sessions, readers, peer)?;
        rows.push(row);
    }
    for (kind, split) in SINGLE {
        for file in files(&folder.join(kind)) {
            let stem = stem(&file);
            let first = stem.split('_').next().unwrap_or_default();
            let name = if split { format!("{kind}: {first}") } else { kind.to_owned() };
            if rows.last().is_none_or(|row| row.name != name) {
                rows.push(Row { name, ..Row::default() });
            }
            if let Some(row) = rows.last_mut() {
                row.add(&file, 1, readers, peer)?;
            }
        }
    }
    let mut head: Vec<String> = ["captures", "sessions", "sentinel"].map(str::to_owned).to_vec();
    head.extend(peer.map(Peer::name));
    head.push("bytes read (p50 / p99 / max)".to_owned());
    let mut missed = Vec::new();
    let lines: Vec<Vec<String>> = rows
        .into_iter()
        .map(|mut row| {
            missed.append(&mut row.missed);
            let mut cells = vec![row.name, number(row.sessions), number(row.caught)];
            cells.extend(peer.map(|_| number(row.by_peer)));
            cells.push(percentiles(&mut row.bytes));
            cells
        })
        .collect();
    let mut text = table(&head, &lines);
    if !missed.is_empty() {
        text += &format!("\nNot caught in full: {}.\n", missed.join(", "));
    }
    Ok(text)
}

fn false_positives(folder: &Path, readers: &Readers<'_>, peer: Option<&Peer>) -> Result<String> {
    let mut rows = Vec::new();
    let mut accused = Vec::new();
    for kind in HONEST {
        let files = files(&folder.join(kind));
        let (mut flows, mut found) = (0, 0);
        for file in &files {
            let replayed = readers.read(file)?;
            flows += replayed.flows;
            found += replayed.caught.len() as u64;
            accused.extend((!replayed.caught.is_empty()).then(|| stem(file)));
        }
        let mut row = vec![kind.to_owned(), number(files.len() as u64), number(flows)];
        row.push(number(found));
        if let Some(peer) = peer {
            row.push(number(peer.labelled(&files) as u64));
        }
        rows.push(row);
    }
    let mut head: Vec<String> =
        ["honest", "files", "flows", "sentinel accuses"].map(str::to_owned).to_vec();
    head.extend(peer.map(|peer| format!("{} accuses", peer.name())));
    let mut text = format!("\n{}", table(&head, &rows));
    if !accused.is_empty() {
        text += &format!("\nAccused by sentinel: {}.\n", accused.join(", "));
    }
    Ok(text)
}

/// Every capture below a folder, in order of name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
