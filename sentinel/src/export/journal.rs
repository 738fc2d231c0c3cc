//! The journal: JSON lines, to a file or to standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::event::node::Record;

/// Where the lines go.
#[derive(Debug)]
pub enum Journal {
    /// To standard output.
    Stdout,
    /// To a file that only its owner reads: it holds command lines.
    File {
        /// Its path, for opening it again.
        path: PathBuf,
        /// The open file.
        file: File,
    },
}

impl Journal {
    /// Opens a file for appending.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn file(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        Ok(Self::File { path, file })
    }

    /// Writes one line, in one write so that several writers do not mix theirs.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(record)?;
        text.push(b'\n');
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&text)?;
                out.flush()
            }
            Self::File { file, .. } => file.write_all(&text),
        }
    }

    /// Opens the file anew, after a log rotation moved it away.
    ///
    /// # Errors
    /// When it cannot be; the lines go on to where they went.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = append(path)?;
        }
        Ok(())
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::line::{Line, Policy, PolicyKind, PolicyResult};
    use crate::event::node::Node;
    use crate::event::word::Word;

    #[test]
    fn a_rotated_file_is_left_alone_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let line = Line::Policy(Policy {
            time: "2026-11-23T10:00:00.000000Z".to_owned(),
            kind: Word(PolicyKind::Policy),
            result: Word(PolicyResult::Applied),
            generation: 2,
            error: None,
        });
        let (nobody, machine) =
            (Node::default(), Node { name: Some("node-1".to_owned()), ..Node::default() });
        let unknown = Record { line: &line, node: &nobody };
        let known = Record { line: &line, node: &machine };
        let mut journal = Journal::file(path.clone()).unwrap();
        journal.write(&unknown).unwrap();
        let old = folder.path().join("events.json.1");
        std::fs::rename(&path, &old).unwrap();
        journal.write(&unknown).unwrap();
        journal.reopen().unwrap();
        journal.write(&known).unwrap();
        let before = std::fs::read_to_string(&old).unwrap();
        assert_eq!(before.lines().filter(|line| !line.contains("node")).count(), 2);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"time\":\"2026-11-23T10:00:00.000000Z\",\"kind\":\"policy\",\"result\":\"applied\",\"generation\":2,\"node\":{\"name\":\"node-1\"}}\n"
        );
    }
}
