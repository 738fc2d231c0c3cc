//! The lexer's symbols, spelled out: what a stream of bytes becomes.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test fails")]

use sentinel_common::lexer::{
    self, BEGIN, BETWEEN, Cell, DEEP, ELEMENT, END, FRAMED, HEAD, KEY, REQUEST, RESYNC, SILENT,
    STATES, STOPPED, UNNAMED, VALUE,
};
use sentinel_common::place::{self, Place};

/// Walks the table as the reader does; returns the symbols fed and the state at the end.
fn lex(bytes: &[u8]) -> (String, u64) {
    let mut place = Place(0).in_state(u64::from(BETWEEN));
    let mut symbols = String::new();
    for &byte in bytes {
        let cell = Cell::at(place.state(), byte);
        let level = place.level();
        let symbol = if cell.is_slow() {
            place = Place(place::act(place.0, cell.0, u64::from(byte)));
            cell.get_symbol(place.escaped(), 0)
        } else {
            place = place.in_state(cell.next());
            cell.get_symbol(u64::from(byte), level)
        };
        match symbol as u8 {
            SILENT => {}
            BEGIN => symbols.push('B'),
            VALUE => symbols.push('='),
            END => symbols.push('|'),
            UNNAMED => symbols.push('?'),
            REQUEST => symbols.push('R'),
            HEAD => symbols.push('H'),
            ELEMENT => symbols.push_str("E2:"),
            symbol if symbol == ELEMENT + 1 => symbols.push_str("E3:"),
            symbol @ KEY..=0xfb => symbols.push_str(&format!("K{}:", symbol - KEY + 1)),
            other => symbols.push(other as char),
        }
    }
    (symbols, place.state())
}

fn symbols(text: &str) -> String {
    lex(text.as_bytes()).0
}

#[test]
fn roles_and_levels() {
    assert_eq!(symbols(r#"{"method":"a","id":1}"#), "BK1:method|=a|K1:id|");
    assert_eq!(symbols(r#"{"p":["a",["b"],{"k":"c"}]}"#), "BK1:p|E2:a|E3:b|K3:k|=c|");
    assert_eq!(
        symbols(r#"{"p":{"l":"a","j":{"b":"c","d":{"e":1}}}}"#),
        "BK1:p|K2:l|=a|K2:j|K3:b|=c|K3:d|K3:e|"
    );
}

#[test]
fn space_numbers_and_words_are_nothing() {
    let plain = symbols(r#"{"a":"b","c":null,"d":-1.5e+3,"e":true,"f":[1,false]}"#);
    let spaced = "\n\t {\r\n \"a\" :\t\"b\" ,\n \"c\": null , \"d\" : -1.5e+3,\"e\":true , \"f\" : [ 1 , false ] } \n";
    assert_eq!(symbols(spaced), plain);
    assert_eq!(plain, "BK1:a|=b|K1:c|K1:d|K1:e|K1:f|");
}

#[test]
fn escapes_become_what_they_stand_for() {
    assert_eq!(symbols(r#"{"\u006d\u0065":"\u002E\/\"\\"}"#), "BK1:me|=./\"\\|");
    assert_eq!(symbols(r#"{"a":"\n\t\b\f\r"}"#), "BK1:a|=?????|");
    assert_eq!(symbols(r#"{"a":"\u00e9\ud83d\ude00\u0000\u000A\u007f"}"#), "BK1:a|=??????|");
    assert_eq!(lex(b"{\"a\":\"\x01\x1f\xff\xf8\xfc\x00\"}").0, "BK1:a|=??????|");
}

#[test]
fn broken_escapes_do_not_swallow_the_strings_end() {
    assert_eq!(symbols(r#"{"a":"\u00","method":"m"}"#), "BK1:a|=|K1:method|=m|");
    assert_eq!(
        symbols(r#"{"a":"\","b":"c"}"#),
        "BK1:a|=\",|:|}",
        "strings without a role do not open"
    );
}

#[test]
fn what_may_stand_around_messages() {
    for text in [
        "{\"a\":1}",
        "\n\n \t{\"a\":1}",
        "\u{feff}{\"a\":1}",
        "\0\0{\"a\":1}\0",
        "[{\"a\":1}]",
        "[[ {\"a\":1} ]]",
        ",{\"a\":1},",
    ] {
        let (symbols, state) = lex(text.as_bytes());
        assert_eq!((symbols.as_str(), state), ("BK1:a|", u64::from(BETWEEN)), "{text}");
    }
    assert_eq!(symbols("[{\"a\":1},{\"b\":2}]{\"c\":3}"), "BK1:a|BK1:b|BK1:c|");
}

#[test]
fn other_bytes_there_end_inspection() {
    for text in ["x{\"a\":1}", "\"a\" {\"a\":1}", "1 {\"a\":1}", "}{\"a\":1}"] {
        assert_eq!(lex(text.as_bytes()), (String::new(), u64::from(STOPPED)), "{text}");
    }
}

#[test]
fn heads_are_lines_in_lower_case_without_spaces() {
    let head = "POST /Path HTTP/1.1\r\nHost: A.b\r\nX-Two :  c, D\r\n\r\n";
    let told = "BostR/path http/1.1H host:a.bHx-two:c,dH".replace(' ', "");
    assert_eq!(lex(head.as_bytes()), (told.clone(), u64::from(FRAMED)));
    let bare = head.replace('\r', "");
    assert_eq!(lex(bare.as_bytes()), (told, u64::from(FRAMED)), "without carriage returns");
    let proxy = "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n{\"a\":1}";
    assert_eq!(symbols(proxy), "BroxyRtcp410.0.0.110.0.0.212HBK1:a|");
    let text = "Dear all,\r\nas seen:\r\n{\"a\":1}";
    assert_eq!(
        symbols(text),
        "BearRall,Has seen:H{\"a\":1}".replace(' ', ""),
        "no message in a text"
    );
}

#[test]
fn a_message_in_a_string_is_a_string() {
    assert_eq!(symbols(r#"{"text":"{\"method\":\"m\"}"}"#), r#"BK1:text|={"method":"m"}|"#);
}

#[test]
fn a_raw_line_end_breaks_the_line() {
    assert_eq!(symbols("{\"a\":\"b\n{\"c\":\"d\"}"), "BK1:a|=bBK1:c|=d|");
    assert_eq!(symbols("{\"a\n{\"c\":1}"), "BK1:aBK1:c|");
    assert_eq!(symbols("{\"a\":\"\\\n{\"c\":1}"), "BK1:a|=BK1:c|");
}

#[test]
fn a_brace_for_a_key_begins_anew() {
    assert_eq!(symbols(r#"{{"a":"b"}"#), "BBK1:a|=b|");
    assert_eq!(symbols("{\"x\":1,\n{\"a\":\"b\"}"), "BK1:x|BK1:a|=b|");
}

/// `{"a":` containers, then a key behind them at level 1.
fn nested(open: &str, close: &str, depth: usize) -> (String, u64) {
    lex(format!("{{\"a\":{}{},\"b\":\"c\"}}", open.repeat(depth), close.repeat(depth)).as_bytes())
}

#[test]
fn deep_nesting_is_counted_and_left_again() {
    for depth in [1, 28, 29, 30, 31, 32, 200, 510] {
        let (symbols, state) = nested("[", "]", depth);
        assert_eq!(
            (symbols.as_str(), state),
            ("BK1:a|K1:b|=c|", u64::from(BETWEEN)),
            "{depth} arrays"
        );
    }
    for depth in [27, 29, 31, 300] {
        let (symbols, state) = nested("[{\"x\":", "}]", depth / 2);
        assert!(symbols.ends_with("K1:b|=c|"), "{depth}: {symbols}");
        assert_eq!(state, u64::from(BETWEEN));
    }
}

#[test]
fn strings_below_the_remembered_depth_mean_nothing() {
    let text =
        format!("{{\"a\":{}\"x\\\"]\",{{\"k\":\"]}}\"}}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(lex(text.as_bytes()), ("BK1:a|".to_owned(), u64::from(BETWEEN)));
    assert_eq!(lex(format!("{{\"a\":{}", "[".repeat(31)).as_bytes()).1, u64::from(DEEP));
}

#[test]
fn nesting_beyond_counting_loses_the_place() {
    // A key behind them could be of any level: nothing is believed until the next line.
    for depth in [511, 512, 700, 5000] {
        let (symbols, state) = nested("[", "]", depth);
        assert_eq!((symbols.as_str(), state), ("BK1:a|", u64::from(RESYNC)), "{depth} arrays");
    }
    let text = format!("{{\"a\":{}\n{{\"method\":\"m\"}}", "[".repeat(700));
    assert_eq!(symbols(&text), "BK1:a|BK1:method|=m|");
}

#[test]
fn place_is_found_again_at_a_line_that_opens_a_message() {
    let mut place = Place(0).in_state(u64::from(RESYNC));
    for &byte in b"\"},{\"method\":\"m\"}\nxyz{\n \n" {
        place = place.in_state(Cell::at(place.state(), byte).next());
    }
    assert_eq!(place.state(), u64::from(lexer::RESYNC_LINE));
    assert!(Cell::at(place.state(), b'{').is_slow());
}

#[test]
fn every_state_and_byte_leads_somewhere() {
    for state in 0..STATES as u64 {
        for byte in 0..=u8::MAX {
            let cell = Cell::at(state, byte);
            assert!(cell.next() < STATES as u64 && cell.get_symbol(u64::from(byte), 3) < 256);
        }
    }
    assert!(
        (0..=u8::MAX).all(|byte| Cell::at(u64::from(STOPPED), byte).next() == u64::from(STOPPED))
    );
}

#[test]
fn the_gate_lets_only_messages_in() {
    let gate = |text: &[u8]| {
        let mut first = [0; 4];
        first[..text.len()].copy_from_slice(text);
        lexer::can_open_message(first)
    };
    for open in [b"{\"id".as_slice(), b"{", b" \t\r\n", b"[{", b"\xef\xbb\xbf{", b"\0{", b"\n"] {
        assert!(gate(open), "{open:?}");
    }
    for shut in [b"GET ".as_slice(), b"\x16\x03\x01\x02", b"SSH-", b"\"{", b"PRI ", b" x", b"1"] {
        assert!(!gate(shut), "{shut:?}");
    }
}
