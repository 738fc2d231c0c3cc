//! `sentinel policy diff`: what enforcement would cut, and how files differ.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Refusal, aligned, answer};
use crate::audit::{Cut, OfPolicy, Report};
use crate::cli::{DiffArgs, Format};
use crate::policy::{self, Change};
use crate::status;

/// Destinations that the table names for each policy.
const SHOWN: usize = 10;

pub(super) fn diff(arguments: &DiffArgs) -> Result<ExitCode, Refusal> {
    let format = arguments.format;
    if let [old, new] = arguments.files.as_slice() {
        return files(old, new, format);
    }
    let question = ("GET /audit", "");
    let report: Report = status::ask(&arguments.state_dir, question).map_err(|error| {
        Refusal::failed(format!("{error}; to compare files, name the old and the new one"))
    })?;
    let found = !report.is_clean();
    answer(&report, format, found, text)
}

fn files(old: &PathBuf, new: &PathBuf, format: Format) -> Result<ExitCode, Refusal> {
    let load = |path: &PathBuf| policy::load(std::slice::from_ref(path)).map_err(Refusal::usage);
    let changes = policy::compare(&load(old)?, &load(new)?);
    let changes = changes.map_err(|findings| Refusal::findings(&findings))?;
    let found = !changes.is_empty();
    answer(&changes, format, found, |changes| {
        if changes.is_empty() {
            return "the policies say the same\n".to_owned();
        }
        changes.iter().map(change).collect()
    })
}

fn change(change: &Change) -> String {
    let Change { policy, kind, place, removed, added } = change;
    let mut text = format!("{policy} {kind} ({place})\n");
    let lines = removed.iter().map(|said| ('-', said)).chain(added.iter().map(|said| ('+', said)));
    for (sign, said) in lines {
        text += &format!("  {sign} {}: {} (line {})\n", said.key, said.text, said.line);
    }
    text
}

fn text(report: &Report) -> String {
    let Report { since, policies } = report;
    let mut text = String::new();
    if policies.is_empty() {
        return "no policy is under audit\n".to_owned();
    }
    for of in policies {
        text += &of_policy(of, since);
    }
    if policies.len() > 1 {
        text += "note: policies add up: this holds when all of them are enforced together\n";
    }
    text
}

fn of_policy(of: &OfPolicy, since: &str) -> String {
    let OfPolicy { policy, place, hits, rules, cuts, .. } = of;
    if *hits == 0 && cuts.is_empty() {
        return format!("{policy} ({place}): nothing would be cut, since {since}\n");
    }
    let mut text = format!("{policy} ({place}): {hits} would have been cut since {since}\n");
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|of| {
            vec![format!("  {}", of.hits), format!("by {}", of.rule), format!("last {}", of.last)]
        })
        .collect();
    text += &aligned(&rows);
    let head = ["  HITS", "WORKLOAD", "WHAT", "LAST"].map(str::to_owned).to_vec();
    let rows: Vec<_> = [head].into_iter().chain(cuts.iter().take(SHOWN).map(row)).collect();
    text += &aligned(&rows);
    let more = cuts.len().saturating_sub(SHOWN);
    if more > 0 || of.unlisted > 0 {
        text += &format!(
            "  and {more} more destinations; {} events of others that found no room\n",
            of.unlisted
        );
    }
    text
}

fn row(cut: &Cut) -> Vec<String> {
    let hits = if cut.hits == 0 { "  open".to_owned() } else { format!("  {}", cut.hits) };
    let what = match (cut.direction.as_str(), cut.port) {
        ("ingress", port) => format!("<- {} {} to port {port}", cut.protocol, cut.address),
        (_, 0) => format!("-> {} {}", cut.protocol, cut.address),
        (_, port) => {
            format!("-> {} {}", cut.protocol, std::net::SocketAddr::new(cut.address, port))
        }
    };
    let names: Vec<&str> = cut.names.iter().map(String::as_str).collect();
    let what = if names.is_empty() { what } else { format!("{what} ({})", names.join(", ")) };
    vec![hits, cut.workload.clone(), what, cut.last.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::OfRule;

    #[test]
    fn what_would_be_cut_is_told_with_its_workload_and_what_is_clean_since_when() {
        let cut = |port, hits| Cut {
            workload: "/system.slice/shop.service".to_owned(),
            direction: "egress".to_owned(),
            address: "192.0.2.9".parse().unwrap(),
            port,
            protocol: "tcp".to_owned(),
            rule: "no rule (p.yaml:4)".to_owned(),
            hits,
            first: "T1".to_owned(),
            last: "T2".to_owned(),
            names: if port == 5432 { ["db.example".to_owned()].into() } else { [].into() },
            unnamed: 0,
        };
        let rule = OfRule { rule: "no rule (p.yaml:4)".to_owned(), hits: 3, last: "T2".to_owned() };
        let shop = OfPolicy {
            policy: "shop".to_owned(),
            place: "p.yaml:4".to_owned(),
            hits: 3,
            rules: vec![rule],
            cuts: vec![cut(443, 3), cut(5432, 0)],
            unlisted: 0,
        };
        let clean = OfPolicy {
            policy: "mail".to_owned(),
            place: "m.yaml:4".to_owned(),
            ..OfPolicy::default()
        };
        let report = Report { since: "T0".to_owned(), policies: vec![shop, clean] };
        let text = text(&report);
        assert!(text.contains("shop (p.yaml:4): 3 would have been cut since T0\n"), "{text}");
        let row = "  3     /system.slice/shop.service  -> tcp 192.0.2.9:443                T2\n";
        assert!(text.contains(row), "{text}");
        assert!(
            text.contains("  open  /system.slice/shop.service  -> tcp 192.0.2.9:5432 (db.example)"),
            "{text}"
        );
        assert!(text.contains("mail (m.yaml:4): nothing would be cut, since T0\n"), "{text}");
        assert!(text.contains("note: policies add up"), "{text}");
    }
}
