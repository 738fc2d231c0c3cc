//! A finding about a policy file, with its place.

use std::fmt;

use serde::Serialize;

/// Something wrong in a policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file's name as given.
    pub file: String,
    /// Line, from 1; 0 where the finding is about the file as a whole.
    pub line: u32,
    /// Column, from 1; 0 where the finding is about the file as a whole.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// How to mend it, where that can be told.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, help } = self;
        write!(out, "{file}:{line}:{column}: {message}")?;
        help.as_ref().map_or(Ok(()), |help| write!(out, "; {help}"))
    }
}

impl std::error::Error for Diagnostic {}
