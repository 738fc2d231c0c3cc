//! The scripts are what they say they are, and the built-in signatures know every one of them.

use std::sync::LazyLock;

use sentinel::signature::reading::{Found, most_specific, read_all};
use sentinel::signature::{Compiled, embedded};
use sentinel_common::limits::EXCERPT;
use serde_json::Value;

use super::*;

static BUILT_IN: LazyLock<Compiled> = LazyLock::new(|| embedded().unwrap());

fn variants() -> Vec<Variant> {
    let plain = Variant::default();
    vec![
        plain,
        Variant { reversed: true, ..plain },
        Variant { escapes: Escapes::All, spacing: Spacing::Wide, ..plain },
        Variant { escapes: Escapes::MethodChar, spacing: Spacing::Python, ..plain },
        Variant { escapes: Escapes::Keys, crlf: true, padding: 9000, ..plain },
        Variant { escapes: Escapes::Method, leading: Leading::Newlines, ..plain },
        Variant { ids: Ids::String, leading: Leading::Bom, ..plain },
        Variant { ids: Ids::Null, ..plain },
        Variant { ids: Ids::Float, ..plain },
        Variant { ids: Ids::Missing, leading: Leading::Blanks, ..plain },
        Variant { duplicate_method: true, leading: Leading::Decoy, ..plain },
    ]
}

/// The parts in which a flow may first be seen, and what each is to be called.
fn parts(dialect: Dialect, variant: &Variant) -> [(&'static str, Vec<String>, &'static str); 4] {
    let told = dialect.told();
    let mut opened = session(dialect, variant);
    opened.extend(keepalive(dialect, 9, variant));
    [
        ("opening", opened, told.opening),
        ("share", vec![submit(dialect, 40, variant)], told.share),
        ("pool", pool(dialect, variant), told.pool),
        ("job", vec![job(dialect, variant)], told.job),
    ]
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Found> {
    read_all(&BUILT_IN.signatures, pieces)
}

/// What the completing line is called when each line comes in a packet of its own, of which this much
/// is kept; and whether a whole line went before it.
fn name(lines: &[String], kept: usize) -> Option<(String, bool)> {
    let completing = (1..=lines.len()).find_map(|count| {
        let (rest, last) = (lines.get(..count)?.concat(), lines.get(count - 1)?);
        Some((read([rest.as_bytes()])?, last.as_bytes(), count > 1))
    });
    let (found, line, late) = completing?;
    let excerpt = line.get(..kept).unwrap_or(line);
    let rule = most_specific(&BUILT_IN.signatures, found.rule, excerpt);
    Some((BUILT_IN.catalogue.rule(rule).unwrap().dialect.clone(), late))
}

fn each_part(mut check: impl FnMut(&str, &[String], &str, &Variant)) {
    for &dialect in Dialect::all() {
        for variant in variants() {
            for (part, lines, told) in parts(dialect, &variant) {
                let what = format!("{} {part} {variant:?}", dialect.name());
                check(&what, &lines, told, &variant);
            }
        }
    }
}

#[test]
fn every_part_in_every_spelling_is_caught_and_named() {
    let mut wrong = Vec::new();
    each_part(|what, lines, told, variant| {
        let plain = *variant == Variant::default();
        for kept in [usize::MAX, EXCERPT].into_iter().take(1 + usize::from(plain)) {
            match name(lines, kept) {
                None => wrong.push(format!("{what} is not caught")),
                Some((name, _)) if name != told => {
                    wrong.push(format!("{what} is called {name}, not {told}"));
                }
                // Pools begin with what anybody might say; nothing else passes whole.
                Some((_, true)) if plain && !what.contains(" pool ") => {
                    wrong.push(format!("{what}: a whole line passed"));
                }
                Some(_) => {}
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_split_gives_the_same() {
    each_part(|what, lines, _, variant| {
        let stream = lines.concat();
        let stream = stream.as_bytes();
        let whole = read([stream]);
        assert_eq!(read(stream.chunks(1)), whole, "{what} byte by byte");
        // From the completing byte on a cut changes nothing, and padding is one long string.
        let until = whole.map_or(stream.len(), |found| found.bytes);
        let cuts = if variant.padding > 0 { 0..0 } else { 0..until };
        for cut in cuts {
            let (front, back) = stream.split_at(cut);
            assert_eq!(read([front, back]), whole, "{what} cut at {cut}");
        }
    });
}

/// A flow whose beginning was not seen: the rest of some line, then the pool's next job or the
/// miner's next share.
#[test]
fn a_session_in_the_middle_is_caught_at_the_next_line() {
    use sentinel::signature::reading::read_on;
    use sentinel_common::stream::Reader;
    let mut missed = Vec::new();
    for &dialect in Dialect::all() {
        for variant in variants() {
            for next in [submit(dialect, 40, &variant), job(dialect, &variant)] {
                let stream = format!("ff00\",\"1b\"],\"id\":3}}\n{next}");
                let mut reader = Reader::at_start(0);
                reader.lose_place(1);
                let found = read_on(&mut reader, &BUILT_IN.signatures, 0, stream.as_bytes());
                if found.is_none() {
                    missed.push(format!("{} {variant:?}: {stream}", dialect.name()));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_spelling_means_the_same() {
    for &dialect in Dialect::all() {
        let words = |variant: &Variant| -> Vec<Value> {
            let lines = [session(dialect, variant), pool(dialect, variant)].concat();
            let values = lines.iter().map(|line| {
                let text = line.trim_start_matches('\u{feff}');
                serde_json::from_str::<Value>(text)
                    .unwrap_or_else(|error| panic!("{line}: {error}"))
            });
            let word = |value: Value| {
                let keys = ["method", "type", "identifier", "message", "pk"];
                keys.iter().find_map(|key| value.get(*key).cloned())
            };
            values.filter_map(word).filter(|word| word != "echo").collect()
        };
        let plain = words(&Variant::default());
        assert!(!plain.is_empty());
        for variant in variants().into_iter().filter(|variant| !variant.duplicate_method) {
            assert_eq!(words(&variant), plain, "{} {variant:?}", dialect.name());
        }
    }
}

#[test]
fn xmrig_writes_its_members_in_the_real_order() {
    let lines = opening(Dialect::Xmrig, &Variant::default());
    let start = r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48"#;
    assert!(lines[0].starts_with(start), "{}", lines[0]);
    assert_eq!(WALLET.len(), 95);
    let escaped = Variant { escapes: Escapes::MethodChar, ..Variant::default() };
    assert!(opening(Dialect::Xmrig, &escaped)[0].contains(r#""logi\u006E""#));
    let missing = Variant { ids: Ids::Missing, ..Variant::default() };
    assert!(!opening(Dialect::Xmrig, &missing)[0].contains(r#""id""#));
}
