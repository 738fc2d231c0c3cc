//! What one agent leaves to the next, and shows to whoever asks about it: files beside its socket.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attribution::peers::Peers;
use crate::attribution::pods::KnownPods;
use crate::policy::Source;

/// A file that holds one thing.
#[derive(Debug)]
pub struct Remembered<T> {
    file: PathBuf,
    what: PhantomData<fn() -> T>,
}

impl Remembered<Vec<Source>> {
    /// The policies that are objects of a Kubernetes API and were in force last.
    #[must_use]
    pub fn objects(state_dir: &Path) -> Self {
        Self::at(state_dir, "kubernetes-policies.json")
    }
}

impl Remembered<Peers> {
    /// The pods that rules on workloads could mean last.
    #[must_use]
    pub fn peers(state_dir: &Path) -> Self {
        Self::at(state_dir, "peers.json")
    }
}

impl Remembered<KnownPods> {
    /// The pods of this node that were there last.
    #[must_use]
    pub fn pods(state_dir: &Path) -> Self {
        Self::at(state_dir, "pods.json")
    }
}

impl<T: Serialize + DeserializeOwned + Default> Remembered<T> {
    fn at(state_dir: &Path, name: &str) -> Self {
        Self { file: state_dir.join(name), what: PhantomData }
    }

    /// What it says; nothing where it is not there, or not understood, which is told.
    #[must_use]
    pub fn read(&self) -> T {
        let file = self.file.display();
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("what was known last cannot be read ({file}): {error}");
                }
                return T::default();
            }
        };
        serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!("{file} is not understood and left alone: {error}");
            T::default()
        })
    }

    /// Has it say this, whole or not at all. Where that fails it is told, and goes on.
    pub fn write(&self, what: &T) {
        if let Err(error) = self.try_write(what) {
            let file = self.file.display();
            tracing::warn!("a restart would not know what is known: cannot write {file}: {error}");
        }
    }

    fn try_write(&self, what: &T) -> io::Result<()> {
        let part = self.file.with_extension("part");
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&part)?.write_all(serde_json::to_string(what)?.as_bytes())?;
        fs::rename(&part, &self.file)
    }
}
