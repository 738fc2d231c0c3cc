//! Which Debian mirror this machine uses: read from apt's own sources, never known beforehand.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const CODENAMES: [&str; 6] = ["bullseye", "bookworm", "trixie", "forky", "stable", "sid"];

/// Where packages and their security updates come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// The main archive.
    pub(crate) main: String,
    /// The archive of security updates.
    pub(crate) security: String,
}

/// The mirror that the machine's own sources name.
pub(crate) fn of_this_machine() -> Result<Mirror> {
    let mut sources = Vec::new();
    for file in source_files() {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let deb822 = file.extension().is_some_and(|extension| extension == "sources");
        sources.extend(if deb822 { paragraphs(&text) } else { lines(&text) });
    }
    choose(&sources).context(
        "apt's sources name no Debian mirror, and the kernels come from one: add one to \
         /etc/apt/sources.list, or leave the vm rung to a Debian machine",
    )
}

fn source_files() -> Vec<PathBuf> {
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let wanted = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
    };
    let mut files: Vec<PathBuf> = parts.map(|entry| entry.path()).filter(wanted).collect();
    files.sort();
    files.insert(0, Path::new("/etc/apt/sources.list").to_owned());
    files
}

/// The address and the suite of each Debian source with a `main` component.
type Source = (String, String);

/// The one-line format: `deb [options] URI SUITE COMPONENT...`.
fn lines(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
        let rest = rest.trim();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let mut words = rest.split_whitespace();
        if let (Some(uri), Some(suite)) = (words.next(), words.next())
            && words.any(|component| component == "main")
        {
            found.push((uri.to_owned(), suite.to_owned()));
        }
    }
    found
}

/// The paragraph format of `*.sources`.
fn paragraphs(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let value =
                paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let has = |name: &str, word: &str| field(name).iter().any(|value| value == word);
        if has("Enabled", "no") || !has("Types", "deb") || !has("Components", "main") {
            continue;
        }
        for uri in field("URIs") {
            found.extend(field("Suites").into_iter().map(|suite| (uri.clone(), suite)));
        }
    }
    found
}

fn choose(sources: &[Source]) -> Option<Mirror> {
    let debian = |suite: &str, ending: &str| {
        suite.strip_suffix(ending).is_some_and(|codename| CODENAMES.contains(&codename))
    };
    let first = |ending: &str| {
        let found = sources.iter().find(|(_, suite)| debian(suite, ending));
        found.map(|(uri, _)| uri.trim_end_matches('/').to_owned())
    };
    let main = first("").or_else(|| first("-updates")).or_else(|| first("-backports"))?;
    let security = first("-security").unwrap_or_else(|| format!("{main}-security"));
    Some(Mirror { main, security })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paragraph_format_is_read_without_disabled_and_foreign_sources() {
        let text = "Types: deb\n# a comment\nURIs: http://mirror.example/debian/\nSuites: bookworm bookworm-updates\n\
                    Components: main\n\nTypes: deb\nURIs: http://other.example/debian\nSuites: trixie\nComponents: main\n\
                    Enabled: no\n\nTypes: deb\nURIs: http://sec.example/debian-security\nSuites: bookworm-security\n\
                    Components: main contrib\n";
        let mirror = choose(&paragraphs(text)).unwrap();
        assert_eq!(mirror.main, "http://mirror.example/debian");
        assert_eq!(mirror.security, "http://sec.example/debian-security");
    }

    #[test]
    fn the_one_line_format_is_read_and_the_security_archive_guessed() {
        let text = "# deb http://no.example/debian sid main\ndeb https://apps.example/linux/debian bookworm stable\n\
                    deb [arch=amd64 signed-by=/k] http://mirror.example/debian bookworm main\n";
        let mirror = choose(&lines(text)).unwrap();
        assert_eq!(mirror.main, "http://mirror.example/debian");
        assert_eq!(mirror.security, "http://mirror.example/debian-security");
    }

    #[test]
    fn another_distribution_has_no_mirror_for_us() {
        assert_eq!(choose(&lines("deb http://archive.example/ubuntu noble main\n")), None);
    }
}
