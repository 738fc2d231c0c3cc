//! Counting tests from what a libtest-like harness prints.

/// How many tests did what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed; at least one when the harness itself failed.
    pub(crate) failed: usize,
    /// Tests that said they cannot run here.
    pub(crate) skipped: usize,
    /// The names of those that failed or were skipped, each with the word for it.
    pub(crate) notable: Vec<String>,
}

impl Tally {
    /// Takes one line of a harness's output.
    pub(crate) fn take(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.passed += number_before(rest, "passed");
            self.failed += number_before(rest, "failed");
            self.skipped += number_before(rest, "ignored");
        } else if let Some((name, outcome)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            if let Some(why) = outcome.strip_prefix("ignored") {
                self.notable.push(format!("skipped: {}{why}", name.trim()));
            } else if outcome.starts_with("FAILED") {
                self.notable.push(format!("failed: {}", name.trim()));
            }
        }
    }

    /// Adds what the exit code says: a harness that failed without a failed test crashed.
    pub(crate) fn end(mut self, what: &str, success: bool) -> Self {
        if !success && self.failed == 0 {
            self.failed = 1;
            self.notable
                .push(format!("failed: {what} did not end well (does it build? did it crash?)"));
        }
        self
    }

    /// Adds the counts of another harness.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.notable.extend(other.notable);
    }
}

fn number_before(text: &str, word: &str) -> usize {
    let before = text.split([';', '.']).find_map(|part| part.trim().strip_suffix(word));
    before.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_harnesses_add_up_and_skips_have_names() {
        let mut tally = Tally::default();
        for line in [
            "test engine::blocks ... ok",
            "test kprobe_sees_connect ... ignored, this kernel has no kprobes",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test policy ... FAILED",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s",
        ] {
            tally.take(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.skipped), (4, 2, 1));
        let notable =
            ["skipped: kprobe_sees_connect, this kernel has no kprobes", "failed: policy"];
        assert_eq!(tally.notable, notable);
    }

    #[test]
    fn a_harness_that_crashed_is_a_failure() {
        let tally = Tally { passed: 3, ..Tally::default() }.end("live", false);
        assert_eq!(tally.failed, 1);
    }
}
