//! Feeds from disk: the one place of this module that reads any.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest feed that is read, bytes: a million IPv6 addresses written out in full.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The list that comes with the agent.
pub const BUILTIN: Source = Source {
    name: Cow::Borrowed("built-in"),
    text: Cow::Borrowed(include_bytes!("../../feeds/pools.txt")),
};

/// A feed's name and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// For messages.
    pub name: Cow<'static, str>,
    /// Lines.
    pub text: Cow<'static, [u8]>,
}

/// Why a feed was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file system refused.
    #[error("cannot read the feed {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Larger than anything that fits the datapath.
    #[error("the feed {path} has more than the {MAX_FILE} bytes that are read; is it a feed?")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Reads files, behind the built-in list where that is wanted.
///
/// # Errors
/// The first file that cannot be read or is too large.
pub fn load(builtin: bool, paths: &[PathBuf]) -> Result<Vec<Source>, LoadError> {
    let mut sources: Vec<Source> = builtin.then_some(BUILTIN).into_iter().collect();
    for path in paths {
        sources.push(read(path)?);
    }
    Ok(sources)
}

fn read(path: &Path) -> Result<Source, LoadError> {
    let io = |error| LoadError::Io { path: path.to_owned(), error };
    let mut text = Vec::new();
    File::open(path).map_err(io)?.take(MAX_FILE + 1).read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 > MAX_FILE {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    Ok(Source { name: path.display().to_string().into(), text: text.into() })
}
