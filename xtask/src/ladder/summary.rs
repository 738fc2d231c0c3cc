//! The table at the end.

use super::{Row, State};
use crate::term;

/// Prints one line per rung and kernel, and below each the names of what did not pass.
pub(super) fn print(rows: &[Row]) {
    println!();
    println!(
        "{:<9} {:<34} {:>7} {:>7} {:>8} {:>8}",
        "rung", "kernel", "passed", "failed", "skipped", "seconds"
    );
    for row in rows {
        let result = term::verdict(word(row), !row.failed());
        let head = format!("{:<9} {:<34}", row.rung, row.kernel);
        match &row.state {
            State::Ran(tally) => {
                let (passed, failed, skipped) = (tally.passed, tally.failed, tally.skipped);
                println!(
                    "{head} {passed:>7} {failed:>7} {skipped:>8} {:>8.1}  {result}",
                    row.seconds
                );
                tally.notable.iter().for_each(|line| println!("          {line}"));
            }
            State::Skipped { why, .. } => println!("{head} {result}: {why}"),
            State::Broken(why) => println!("{head} {result}: {why}"),
        }
    }
}

fn word(row: &Row) -> &'static str {
    match &row.state {
        State::Ran(_) if row.failed() => "failed",
        State::Ran(_) => "ok",
        State::Skipped { .. } => "skipped",
        State::Broken(_) => "broken",
    }
}
