//! What is wrong with a file is said with its place and name.

use super::super::compile;

const GOOD: &str = r#"
dialect = "d"
[[token]]
name = "hello"
role = "method"
equals = "hello"
[[token]]
name = "id"
role = "key:id"
[[rule]]
name = "r"
message = ["hello", "id"]
"#;

fn error(from: &str, to: &str) -> String {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "nothing to replace");
    compile(&[("mine.toml", &text)])
        .err()
        .map_or_else(|| panic!("{text}"), |error| error.to_string())
}

#[test]
fn the_good_file_is_good() {
    let compiled = compile(&[("mine.toml", GOOD)]).unwrap();
    let rule = compiled.catalogue.rule(0).unwrap();
    assert_eq!(
        (rule.name.as_str(), rule.dialect.as_str(), rule.place.to_string()),
        ("r", "d", "mine.toml:11:8".to_owned())
    );
}

#[test]
fn errors_name_what_is_wrong() {
    for (from, to, expected) in [
        ("equals", "equal", "mine.toml:6:1: unknown key \"equal\" (did you mean \"equals\"?)"),
        ("dialect = \"d\"", "dialect =", "mine.toml:2:10: "),
        ("[\"hello\", \"id\"]", "[\"hullo\", \"id\"]", "did you mean \"hello\"?"),
        (
            "[[rule]]",
            "[[token]]\nname = \"z\"\nrole = \"key:z\"\n[[rule]]",
            "token \"z\": is used by no rule",
        ),
        ("equals = \"hello\"", "regex = \"^h\"", "no ^, $ or \\b"),
        ("equals = \"hello\"", "", "token \"hello\": needs either equals or regex"),
        ("equals = \"hello\"", "equals = \"\"", "an empty string is no pattern"),
        ("role = \"method\"", "role = \"methods\"", "\"methods\" is no role"),
        ("name = \"id\"", "name = \"hello\"", "mine.toml:8:8: token \"hello\": is defined twice"),
        (
            "equals = \"hello\"",
            "regex = '(a)\\1'",
            "mine.toml:4:8: token \"hello\": the expression is not",
        ),
        ("equals = \"hello\"", "regex = 'a(?=b)'", "the expression is not understood"),
        (
            "[[rule]]",
            "[[rule]]\nname = \"r\"\nmessage = [\"hello\", \"id\"]\n[[rule]]",
            "mine.toml:14:8: rule \"r\": mine.toml:11:8 has one of this name for d already",
        ),
        ("role = \"key:id\"", "role = \"key:id\"\nequals = \"x\"", "a key's pattern is its path"),
    ] {
        let message = error(from, to);
        assert!(message.contains(expected), "{message}\nlacks {expected}");
    }
}

#[test]
fn a_word_alone_is_no_verdict() {
    let text =
        GOOD.replacen("[\"hello\", \"id\"]", "[\"hello\"]\nany = [[\"hello\"], [\"id\"]]", 1);
    let message = compile(&[("mine.toml", &text)]).err().unwrap().to_string();
    assert!(message.contains("a word alone is no verdict"), "{message}");
}

#[test]
fn too_much_is_counted() {
    let mut text = "dialect = \"d\"\n".to_owned();
    for index in 0..62 {
        text += &format!("[[token]]\nname = \"t{index}\"\nrole = \"key:k{index}\"\n");
    }
    let names: Vec<String> = (0..62).map(|index| format!("\"t{index}\"")).collect();
    text += &format!("[[rule]]\nname = \"r\"\nmessage = [{}]\n", names.join(", "));
    let message = compile(&[("mine.toml", &text)]).err().unwrap().to_string();
    // Three more are in every set.
    assert!(message.starts_with("the signature files need 65 tokens"), "{message}");
    let states = GOOD.replacen("equals = \"hello\"", "regex = \"[ab]*a[ab]{14}\"", 1);
    let message = compile(&[("mine.toml", &states)]).err().unwrap().to_string();
    assert!(message.contains("states") || message.contains("bounded size"), "{message}");
}

#[test]
fn a_rule_that_is_there_already_is_named_with_its_place() {
    let (name, text) = super::super::EMBEDDED[0];
    let twice = [(name, text), ("mine.toml", text)];
    let message = compile(&twice).err().unwrap().to_string();
    assert!(message.starts_with("mine.toml:"), "{message}");
    assert!(message.contains(&format!("{name}:")) && message.ends_with("rename it"), "{message}");
}
