//! Files of all kinds, good and bad.

use std::fs;

use super::*;
use crate::config::Config;

const SIGNATURES: &str = "dialect = \"mine\"\n[[token]]\nname = \"hello\"\nrole = \"method\"\nequals = \"pool.hello\"\n[[token]]\nname = \"id\"\nrole = \"key:id\"\n[[rule]]\nname = \"hello\"\nmessage = [\"hello\", \"id\"]\n";
const POLICY: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: p}\nspec: {stratum: block}\n";

fn written(files: &[(&str, &str)]) -> (tempfile::TempDir, Report) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let report = report(&[folder.path().to_owned()]).unwrap();
    (folder, report)
}

#[test]
fn files_are_told_apart_and_counted() {
    let config = "mode: audit\npolicies: []\n";
    let (_folder, report) = written(&[("p.yaml", POLICY), ("c.yaml", config)]);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!((report.policies, report.configurations, report.signatures), (1, 1, 0));
}

#[test]
fn a_set_is_measured_against_its_room() {
    let (_folder, report) = written(&[("s.toml", SIGNATURES), ("p.yaml", POLICY)]);
    let set = report.set.as_ref().unwrap();
    assert_eq!((set.tokens.added, set.rules.added), (2, 1));
    assert!(set.states.added > 0 && set.states.used < set.states.room);
    let text = report.text();
    assert!(text.contains(" of 64 (+2), states "), "{text}");
    assert!(text.contains(" of 4,096 (+"), "{text}");
    assert!(text.ends_with("1 policy files, 1 signature files, nothing wrong\n"), "{text}");
}

#[test]
fn a_configuration_leads_to_what_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.yaml");
    fs::write(&config, "builtinSignatures: false\nsignatures: [s.toml]\n").unwrap();
    fs::write(folder.path().join("s.toml"), SIGNATURES).unwrap();
    let report = report(&[config]).unwrap();
    let set = report.set.unwrap();
    // Three tokens are in every set.
    assert_eq!((set.tokens.used, set.tokens.added, set.rules.used), (5, 2, 1));
}

#[test]
fn every_file_has_its_finding() {
    let broken = SIGNATURES.replace("\"id\"]", "\"ids\"]");
    let (_folder, report) = written(&[
        ("a.toml", &broken),
        ("b.toml", &SIGNATURES.replace("equals", "equal")),
        ("c.yaml", "mod: audit\n"),
        ("p.yaml", &POLICY.replace("stratum", "stratums")),
    ]);
    let mut found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    found.sort();
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].contains("a.toml:11:21: rule \"hello\" asks for the token \"ids\""));
    assert!(found[1].contains("b.toml:5:1: unknown key \"equal\""), "{found:?}");
    assert!(found[2].contains("c.yaml:1:1: unknown key \"mod\""), "{found:?}");
    assert!(found[3].contains("p.yaml:4:8: unknown key \"stratums\""), "{found:?}");
    assert!(report.set.is_none());
}

#[test]
fn a_policy_without_its_header_is_no_configuration() {
    let (_folder, report) = written(&[("p.yaml", "kind: EgressPolicy\nspec: {}\n")]);
    assert_eq!((report.policies, report.configurations), (1, 0));
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn the_feeds_of_a_configuration_are_checked_as_the_agent_does() {
    let folder = tempfile::tempdir().unwrap();
    let (config, feed) = (folder.path().join("c.yaml"), folder.path().join("f.txt"));
    fs::write(&config, "feeds: [f.txt]\n").unwrap();
    let gone = report(std::slice::from_ref(&config)).unwrap_err();
    assert!(gone.starts_with("cannot read the feed ") && gone.contains("f.txt"), "{gone}");
    fs::write(&feed, "pool.example\n203.0.113.7\n").unwrap();
    let good = report(std::slice::from_ref(&config)).unwrap();
    assert!(good.findings.is_empty(), "{:?}", good.findings);
    assert!(good.text().ends_with("1 configurations, 1 feeds, nothing wrong\n"), "{}", good.text());
    fs::write(&feed, "pool.example\n0.0.0.0/0\n").unwrap();
    let told = report(std::slice::from_ref(&config)).unwrap().findings;
    let file = ConfigFile::read(&config).unwrap();
    let run = crate::daemon::prepare(&Config::new(ConfigFile::default(), file));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].to_string(), run.unwrap_err().to_string());
    fs::write(&feed, "x\n".repeat(30)).unwrap();
    let text = report(std::slice::from_ref(&config)).unwrap().text();
    assert!(text.ends_with("f.txt: and 10 more\n"), "{text}");
}

#[test]
fn more_than_fits_is_the_configurations_finding() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.yaml");
    fs::write(&config, "feeds: [f.txt]\nbuiltinFeed: false\n").unwrap();
    let domains =
        (0..=sentinel_common::limits::MAX_FEED_DOMAINS).map(|n| format!("d{n}.example\n"));
    fs::write(folder.path().join("f.txt"), domains.collect::<String>()).unwrap();
    let text = report(std::slice::from_ref(&config)).unwrap().text();
    assert!(
        text.starts_with(&format!("{}: the feeds hold more than ", config.display())),
        "{text}"
    );
}
