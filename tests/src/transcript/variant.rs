//! Ways to write the same request that mean the same to a pool.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Which characters are written as `\uXXXX`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Escapes {
    /// None.
    #[default]
    None,
    /// The last character of the method's value.
    MethodChar,
    /// Every character of the method's value.
    Method,
    /// Every character of every key.
    Keys,
    /// Every character of every string.
    All,
}

/// White space between tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// No space at all.
    #[default]
    Compact,
    /// One space after `:` and `,`.
    Python,
    /// Spaces and tabs around everything.
    Wide,
}

/// What stands in the request's `id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// `1`, `2`, ...
    #[default]
    Number,
    /// `"auth-1"`, ...
    String,
    /// `1.0`, ...
    Float,
    /// `null`.
    Null,
    /// No such member.
    Missing,
}

/// What precedes the first request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leading {
    /// Nothing.
    #[default]
    Nothing,
    /// Two empty lines.
    Newlines,
    /// Spaces and tabs.
    Blanks,
    /// A UTF-8 byte order mark.
    Bom,
    /// A harmless JSON-RPC request on a line of its own.
    Decoy,
}

/// A way of writing; the default is how the real programs write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Variant {
    /// Write the members of every object in reverse order.
    #[arg(long)]
    pub reversed: bool,
    /// Write some characters as \uXXXX.
    #[arg(long, value_enum, default_value_t)]
    pub escapes: Escapes,
    /// White space between tokens.
    #[arg(long, value_enum, default_value_t)]
    pub spacing: Spacing,
    /// The kind of request ids.
    #[arg(long, value_enum, default_value_t)]
    pub ids: Ids,
    /// What precedes the first request.
    #[arg(long, value_enum, default_value_t)]
    pub leading: Leading,
    /// End lines with CR LF.
    #[arg(long)]
    pub crlf: bool,
    /// Put a harmless `method` member before the real one.
    #[arg(long)]
    pub duplicate_method: bool,
    /// Start each request with a member that is this many bytes long.
    #[arg(long, default_value_t = 0)]
    pub padding: usize,
}
