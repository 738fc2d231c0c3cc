//! The commands of the README's section on Kubernetes, as they stand there.

use anyhow::{Context as _, Result};

const README: &str = include_str!("../../../../../README.md");
const SECTION: &str = "\n## Kubernetes\n";
const FENCE: &str = "```\n";

/// The section's blocks of commands, each line with its comment.
#[derive(Debug)]
pub struct Commands(Vec<Vec<&'static str>>);

impl Commands {
    pub fn read() -> Result<Self> {
        let section = README.split_once(SECTION).context("the README has no such section")?.1;
        let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
        let blocks = section.split(FENCE).skip(1).step_by(2);
        Ok(Self(blocks.map(|block| block.lines().collect()).collect()))
    }

    /// The one that begins like this.
    pub fn beginning(&self, words: &str) -> Result<&'static str> {
        let mut all = self.0.iter().flatten();
        let found = all.find(|line| line.starts_with(words));
        found.copied().with_context(|| format!("the README has no command `{words} ...`"))
    }
}
