//! Signature files from disk: the one place of this module that reads any.

use std::fs;
use std::path::{Path, PathBuf};

/// Largest signature file that is read, bytes: the built-in ones have about 4,000.
const MAX_FILE: u64 = 256 * 1024;
/// Files that are read at most: a set has 128 rules.
const MAX_FILES: usize = 128;

/// A signature file's name and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// For messages.
    pub name: String,
    /// TOML.
    pub text: String,
}

/// Why a signature file was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file system refused.
    #[error("cannot read the signatures {path}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Larger than any set that fits the datapath.
    #[error(
        "the signature file {path} has {bytes} bytes, above the {MAX_FILE} that are read; is it a signature file?"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A directory without signatures is more likely a slip than an empty set.
    #[error("the directory {path} holds no .toml file; add one, or do not name it")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// More than any set that fits the datapath.
    #[error("more than {MAX_FILES} signature files; merge some of them")]
    TooMany,
}

/// Reads files, and the `.toml` files of directories (not of those below them), sorted by name.
///
/// # Errors
/// The first path that cannot be read, is too large, or is a directory without signatures.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Source>, LoadError> {
    let mut sources = Vec::new();
    for path in paths {
        for file in files_of(path)? {
            if sources.len() == MAX_FILES {
                return Err(LoadError::TooMany);
            }
            sources.push(read(&file)?);
        }
    }
    Ok(sources)
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let io = |error| LoadError::Io { path: path.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if is_signature_file(&file) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(LoadError::Empty { path: path.to_owned() }) } else { Ok(files) }
}

/// Whether a file's name says that it holds signatures.
#[must_use]
pub fn is_signature_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "c.txt"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let sources = load(&[folder.path().to_owned(), folder.path().join("c.txt")]).unwrap();
        let texts: Vec<&str> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["a.toml", "b.toml", "c.txt"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&[folder.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("holds no .toml file"), "{error}");
        let large = folder.path().join("large.toml");
        fs::write(&large, vec![b'#'; MAX_FILE as usize + 1]).unwrap();
        let error = load(std::slice::from_ref(&large)).unwrap_err().to_string();
        assert!(error.contains("262145 bytes"), "{error}");
        fs::write(&large, [0xff]).unwrap();
        assert!(load(&[large]).unwrap_err().to_string().contains("UTF-8"));
        assert!(load(&["/nowhere.toml".into()]).is_err());
    }
}
