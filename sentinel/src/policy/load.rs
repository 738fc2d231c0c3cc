//! Policy files from disk: the one place of this module that reads any.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Largest policy file that is read, bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A policy file's name and text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// For messages.
    pub name: String,
    /// YAML, one document or several.
    pub text: String,
}

/// Why a policy file was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file system refused.
    #[error("cannot read the policy {path}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Larger than any policy that fits the datapath.
    #[error(
        "the policy {path} has {bytes} bytes, above the {MAX_FILE} that are read; is it a policy?"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A directory without policies is more likely a slip than an empty policy.
    #[error("the directory {path} holds no .yaml or .yml file")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
}

/// Reads files, and the `.yaml` and `.yml` files of directories (not of those below them), sorted
/// by name.
///
/// # Errors
/// The first path that cannot be read, is too large, or is a directory without policies.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Source>, LoadError> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let files = policies_in(path)?;
            if files.is_empty() {
                return Err(LoadError::Empty { path: path.clone() });
            }
            for file in files {
                sources.push(read(&file)?);
            }
        } else {
            sources.push(read(path)?);
        }
    }
    Ok(sources)
}

fn policies_in(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let io = |error| LoadError::Io { path: directory.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let is_yaml =
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Source, LoadError> {
    let io = |error| LoadError::Io { path: path.to_owned(), error };
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_FILE {
        return Err(LoadError::TooLarge { path: path.to_owned(), bytes });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    Ok(Source { name: path.display().to_string(), text })
}
