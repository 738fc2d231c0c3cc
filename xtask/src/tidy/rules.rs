//! The rules themselves: each takes a file and says what is wrong with it.

use super::functions;
use super::source;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// Rules for every file: nothing may depend on one machine.
pub(super) fn any_file(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    if path == "Cargo.lock" {
        return broken;
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(what) = foreign(line) {
            broken.push(format!("{path}:{}: {what}", number + 1));
        }
    }
    broken
}

/// The hosts are put together here so that this file keeps its own rule.
fn foreign(line: &str) -> Option<String> {
    let hosts = [
        ["deb", "debian.org"],
        ["security", "debian.org"],
        ["static", "crates.io"],
        ["index", "crates.io"],
        ["registry", "npmjs.org"],
        ["files", "pythonhosted.org"],
        ["proxy", "golang.org"],
    ];
    let host = hosts.iter().map(|parts| parts.join(".")).find(|host| line.contains(host.as_str()));
    if let Some(host) = host {
        return Some(format!("names the registry {host}: ask the machine's own configuration"));
    }
    let folder = ["", "work", ""].join("/");
    let starts = |at: usize| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-~/})".contains(c))
    };
    let found = line.match_indices(&folder).any(|(at, _)| starts(at));
    found.then(|| "names a path of one machine".to_owned())
}

/// Rules for Rust files of ours.
pub(super) fn rust_file(path: &str, text: &str) -> Vec<String> {
    let code = source::blank(source::without_tests(text));
    let mut broken = Vec::new();
    let lines = code.lines().count();
    if lines > FILE_LINES {
        broken.push(format!(
            "{path}: {lines} lines without its tests, at most {FILE_LINES}: split it"
        ));
    }
    for function in functions::of(&code) {
        if function.lines > FUNCTION_LINES {
            broken.push(format!(
                "{path}:{}: `{}` has {} lines, at most {FUNCTION_LINES}: split it",
                function.line, function.name, function.lines
            ));
        }
    }
    if !may_name_aya(path, text) && source::words(&code).any(is_aya) {
        broken.push(format!("{path}: names aya, which only sentinel/src/datapath may"));
    }
    broken
}

fn is_aya(word: &str) -> bool {
    word == "aya" || word.starts_with("aya_")
}

fn may_name_aya(path: &str, text: &str) -> bool {
    let rooms = ["sentinel/src/datapath/", "sentinel-ebpf/", "tests/", "xtask/"];
    rooms.iter().any(|room| path.starts_with(room))
        || path == "sentinel/src/datapath.rs"
        || path == "sentinel/build.rs"
        || path == "sentinel-common/src/user.rs"
        || (path.starts_with("sentinel-common/") && text.contains("feature = \"user\""))
}

/// At most one file of a crate may contain `unsafe`, so that a reviewer knows where to look.
pub(super) fn one_unsafe_file(member: &str, files: &[(String, String)]) -> Option<String> {
    let folder = format!("{member}/");
    let ours = files.iter().filter(|(path, _)| path.starts_with(&folder) && path.ends_with(".rs"));
    let found: Vec<&str> = ours
        .filter(|(_, text)| has_unsafe(&source::blank(text)))
        .map(|(path, _)| path.as_str())
        .collect();
    (found.len() > 1).then(|| {
        format!("{member}: `unsafe` is in {} files, at most one: {}", found.len(), found.join(", "))
    })
}

/// The keyword; an attribute such as `#[unsafe(no_mangle)]` promises nothing about memory.
fn has_unsafe(code: &str) -> bool {
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code.get(..at).unwrap_or_default();
        let after = code.get(at + word.len()..).unwrap_or_default();
        let part = |c: char| c.is_alphanumeric() || c == '_';
        let is_word = !before.ends_with(part) && !after.starts_with(part);
        is_word && !(before.trim_end().ends_with('[') && after.trim_start().starts_with('('))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_is_found_and_an_address_is_not() {
        let folder = ["", "work", ""].join("/");
        assert!(foreign(&format!("cd {folder}main")).is_some());
        assert!(foreign(&format!("see https://example.org{folder}x")).is_none());
        assert!(foreign(&["http://deb", "debian.org/debian"].join(".")).is_some());
    }

    #[test]
    fn only_the_keyword_counts_as_unsafe() {
        let unsafe_in = |text: &str| has_unsafe(&source::blank(text));
        assert!(unsafe_in("let x = unsafe { *p };"));
        assert!(unsafe_in("unsafe impl Pod for X {}"));
        assert!(!unsafe_in("#![deny(unsafe_op_in_unsafe_fn)] // unsafe\n\"unsafe\""));
        assert!(!unsafe_in("#[unsafe(link_section = \"license\")]"));
    }

    #[test]
    fn aya_stays_in_its_room() {
        let text = "use aya::Ebpf;\n";
        assert_eq!(rust_file("sentinel/src/daemon.rs", text).len(), 1);
        assert!(rust_file("sentinel/src/datapath/loader.rs", text).is_empty());
        assert!(rust_file("sentinel/src/daemon.rs", "// aya is elsewhere\n").is_empty());
        let pod = "#[cfg(feature = \"user\")]\nuse aya::Pod;\n";
        assert!(rust_file("sentinel-common/src/event.rs", pod).is_empty());
    }

    #[test]
    fn long_files_and_functions_are_named() {
        let long = "fn f() {\n".to_owned() + &"    x();\n".repeat(400) + "}\n";
        let broken = rust_file("sentinel/src/a.rs", &long);
        assert_eq!(broken.len(), 2, "{broken:?}");
        let tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(rust_file("sentinel/src/a.rs", &tests).is_empty());
    }
}
