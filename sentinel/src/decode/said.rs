//! What a mining-pool message says, from an excerpt that may begin and end anywhere.
//!
//! A reader, not a judge: the verdict fell in the kernel. So this takes what it can get: it starts at
//! the first `{`, forgives what is missing, and marks a string that the excerpt cuts with `…`.

use crate::event::Said;

/// Deeper containers are walked but nothing in them is of interest.
const DEPTH: usize = 8;

/// Reads the messages of an excerpt; the first value of each field wins.
pub(super) fn read(excerpt: &[u8]) -> Said {
    let mut reader = Reader::default();
    let start = excerpt.iter().position(|byte| *byte == b'{').unwrap_or(excerpt.len());
    let mut rest = excerpt.get(start..).unwrap_or_default();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'{' => reader.open(true),
            b'[' => reader.open(false),
            b'}' | b']' => reader.close(),
            b',' => reader.comma(),
            b'"' => {
                let (text, after) = string(rest);
                rest = after;
                let is_key = rest.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
                reader.string(text, is_key);
            }
            _ => {}
        }
    }
    reader.message_ends();
    reader.said
}

/// One container on the way down to where the reader is.
#[derive(Default)]
struct Level {
    is_object: bool,
    key: Option<String>,
    index: usize,
}

#[derive(Default)]
struct Reader {
    levels: Vec<Level>,
    /// Containers below [`DEPTH`].
    deeper: usize,
    message: Message,
    said: Said,
}

/// The strings of one message that mean something.
#[derive(Default)]
struct Message {
    method: Option<String>,
    worker: Option<String>,
    login: Option<String>,
    agent: Option<String>,
    first: Option<String>,
}

impl Reader {
    fn open(&mut self, is_object: bool) {
        if self.levels.len() >= DEPTH {
            self.deeper += 1;
        } else {
            self.levels.push(Level { is_object, ..Level::default() });
        }
    }

    fn close(&mut self) {
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if self.levels.pop().is_some() && self.levels.is_empty() {
            self.message_ends();
        }
    }

    fn comma(&mut self) {
        if let (0, Some(level)) = (self.deeper, self.levels.last_mut()) {
            level.key = None;
            level.index += 1;
        }
    }

    fn string(&mut self, text: String, is_key: bool) {
        if self.deeper > 0 {
            return;
        }
        match self.levels.last_mut() {
            Some(level) if level.is_object && is_key && level.key.is_none() => {
                level.key = Some(text);
            }
            Some(_) => self.value(text),
            None => {}
        }
    }

    fn value(&mut self, text: String) {
        let message = &mut self.message;
        let field = match self.levels.as_slice() {
            [Level { key: Some(key), .. }] => match key.as_str() {
                "method" => &mut message.method,
                "worker" => &mut message.worker,
                _ => return,
            },
            [Level { key: Some(outer), .. }, inner] if outer == "params" => {
                match (inner.is_object, inner.key.as_deref(), inner.index) {
                    (true, Some("login" | "user"), _) => &mut message.login,
                    (true, Some("agent" | "ua"), _) => &mut message.agent,
                    (false, _, 0) => &mut message.first,
                    _ => return,
                }
            }
            _ => return,
        };
        field.get_or_insert(text);
    }

    /// What the first parameter is, the method tells.
    fn message_ends(&mut self) {
        let message = std::mem::take(&mut self.message);
        let (first_login, first_agent) = match message.method.as_deref() {
            Some("mining.authorize" | "mining.submit" | "eth_submitLogin" | "eth_login") => {
                (message.first, None)
            }
            Some("mining.subscribe") => (None, message.first),
            _ => (None, None),
        };
        let said = &mut self.said;
        said.method = said.method.take().or(message.method);
        said.login = said.login.take().or(message.login).or(first_login);
        said.agent = said.agent.take().or(message.agent).or(first_agent);
        said.worker = said.worker.take().or(message.worker);
    }
}

/// The string whose opening quote was just read, and what follows its closing one.
fn string(mut rest: &[u8]) -> (String, &[u8]) {
    let mut bytes = Vec::new();
    loop {
        match rest {
            [b'"', tail @ ..] => return (text(&bytes), tail),
            [b'\\', b'u', tail @ ..] => rest = unescape(tail, &mut bytes),
            [b'\\', escaped, tail @ ..] => {
                bytes.push(plain(*escaped));
                rest = tail;
            }
            [] | [b'\\'] => return (text(&bytes) + "…", &[]),
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const fn plain(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        other => other,
    }
}

/// `\uXXXX`, its `\u` already read; halves of a pair become U+FFFD, which no login has.
fn unescape<'a>(rest: &'a [u8], bytes: &mut Vec<u8>) -> &'a [u8] {
    let Some((digits, tail)) = rest.split_first_chunk::<4>() else { return &[] };
    let code = std::str::from_utf8(digits).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let letter = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str) -> Option<String> {
        read(text.as_bytes()).login
    }

    #[test]
    fn the_dialects_name_their_miner() {
        let xmrig = read(
            br#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48edf","pass":"x","agent":"XMRig/6.21","algo":["rx/0"]}}"#,
        );
        assert_eq!(xmrig.method.as_deref(), Some("login"));
        assert_eq!(xmrig.login.as_deref(), Some("48edf"));
        assert_eq!(xmrig.agent.as_deref(), Some("XMRig/6.21"));
        let v1 = read(
            b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"cgminer/4.10\"]}\n{\"params\":[\"bc1q.w1\",\"x\"],\"id\":2,\"method\":\"mining.authorize\"}\n",
        );
        assert_eq!(v1.agent.as_deref(), Some("cgminer/4.10"));
        assert_eq!(v1.login.as_deref(), Some("bc1q.w1"));
        let eth = read(
            br#"{"worker":"rig1","jsonrpc":"2.0","params":["0xabc"],"id":2,"method":"eth_submitLogin"}"#,
        );
        assert_eq!(eth.login.as_deref(), Some("0xabc"));
        assert_eq!(eth.worker.as_deref(), Some("rig1"));
    }

    #[test]
    fn it_may_be_wrapped_escaped_or_cut() {
        let http = "POST / HTTP/1.1\r\nHost: p\r\n\r\n{\"method\":\"login\",\"params\":{\"login\":\"a\\u0062c\"}}";
        assert_eq!(login(http).as_deref(), Some("abc"));
        assert_eq!(
            login("{\"method\":\"login\",\"params\":{\"login\":\"48ed").as_deref(),
            Some("48ed…")
        );
        assert_eq!(login("{\"method\":\"login\",\"params\":{\"logi"), None);
        assert_eq!(login("{\"x\":{\"params\":{\"login\":\"no\"}}}"), None);
        assert_eq!(login("gin\",\"params\":{\"login\":\"x\"}}"), None);
    }

    #[test]
    fn every_cut_of_a_message_reads() {
        let whole = br#"{"id":1,"method":"login","params":{"login":"4\u00e4\\\"b","agent":"X","deep":[[[[[[[[[["]]]]]]]]]]}}"#;
        for start in 0..=whole.len() {
            for end in start..=whole.len() {
                let _ = read(&whole[start..end]);
            }
        }
    }
}
