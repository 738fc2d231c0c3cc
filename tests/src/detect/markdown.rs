//! Tables as text, and a text's place in a document.

use std::path::Path;

use anyhow::{Context as _, Result};
use sentinel::signature::grouped;

/// A Markdown table.
pub(super) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = head.iter().map(|_| "---".to_owned()).collect();
    let mut text = line(head) + &line(&rule).replace(' ', "");
    for row in rows {
        text += &line(row);
    }
    text
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    grouped(usize::try_from(number).unwrap_or(usize::MAX))
}

/// A footnote's mark.
pub(super) fn mark(number: usize) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digit = |c: char| c.to_digit(10).and_then(|digit| DIGITS.get(digit as usize));
    number.to_string().chars().filter_map(digit).collect()
}

/// Median, 99th percentile and maximum.
pub(super) fn percentiles(values: &mut [u32]) -> String {
    values.sort_unstable();
    let at = |percent: usize| values.get((values.len().max(1) - 1) * percent / 100);
    match (at(50), at(99), values.last()) {
        (Some(median), Some(high), Some(most)) => format!("{median} / {high} / {most}"),
        _ => "-".to_owned(),
    }
}

/// Puts `text` between `<!-- NAME -->` and `<!-- /NAME -->` in a document; whether there was such a
/// place.
///
/// # Errors
/// When the document cannot be read or written.
pub fn write_between_markers(document: &Path, name: &str, text: &str) -> Result<bool> {
    let cannot = || format!("cannot read {}", document.display());
    let before = std::fs::read_to_string(document).with_context(cannot)?;
    let Some(after) = between(&before, name, text) else { return Ok(false) };
    std::fs::write(document, after)
        .with_context(|| format!("cannot write {}", document.display()))?;
    Ok(true)
}

fn between(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (head, rest) = document.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}{}\n{end}{tail}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_finds_its_place() {
        let document = "# a\n<!-- x -->\nold\n<!-- /x -->\nend\n";
        let new = "# a\n<!-- x -->\nnew\n<!-- /x -->\nend\n";
        assert_eq!(between(document, "x", "new\n\n").as_deref(), Some(new));
        assert_eq!(between(document, "y", "new"), None);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!((number(7).as_str(), number(1_234_567).as_str()), ("7", "1,234,567"));
        assert_eq!(mark(12), "¹²");
        assert_eq!(percentiles(&mut [3, 1, 2]), "2 / 2 / 3");
        assert_eq!(percentiles(&mut []), "-");
        let rows = [vec!["a".to_owned(), "b".to_owned()]];
        assert_eq!(table(&rows[0], &rows), "| a | b |\n|---|---|\n| a | b |\n");
    }
}
