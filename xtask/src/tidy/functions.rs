//! Where functions begin and end, by counting brackets in blanked code.

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// The line where it begins, from 1.
    pub(super) line: usize,
    /// From its `fn` to its closing brace.
    pub(super) lines: usize,
}

/// The functions of a file, also those inside others.
pub(super) fn of(code: &str) -> Vec<Function> {
    let starts = code.match_indices("fn ").filter(|(at, _)| {
        let before = code.get(..*at).unwrap_or_default();
        !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    });
    starts.filter_map(|(at, _)| function(code, at)).collect()
}

fn function(code: &str, at: usize) -> Option<Function> {
    let rest = code.get(at..)?;
    let name = rest.get(3..)?.trim_start();
    let name = name
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .filter(|name| !name.is_empty())?;
    let body = rest.get(..length(rest)?)?;
    let line = code.get(..at)?.matches('\n').count() + 1;
    Some(Function { name: name.to_owned(), line, lines: body.matches('\n').count() + 1 })
}

/// How far a function reaches; none when it has no body, as in a trait.
fn length(rest: &str) -> Option<usize> {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.checked_sub(1)?,
            ';' if braces == 0 && others == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && others == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_from_fn_to_their_brace() {
        let code = "trait T { fn none(x: [u8; 4]); }\nfn a() {\n  b();\n}\nlet f: fn (u8) = g;\n";
        assert_eq!(of(code), [Function { name: "a".to_owned(), line: 2, lines: 3 }]);
    }
}
