//! How a request is cut into writes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a piece of payload ends and the next write begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Segments {
    /// One write.
    #[default]
    Whole,
    /// One byte per write.
    Bytes,
    /// Cut before these offsets; those outside the payload do nothing.
    At(Vec<usize>),
}

impl Segments {
    /// The pieces of a payload, in order, none empty.
    pub fn cut<'a>(&self, payload: &'a [u8]) -> Vec<&'a [u8]> {
        match self {
            Segments::Whole => vec![payload],
            Segments::Bytes => payload.chunks(1).collect(),
            Segments::At(offsets) => {
                let mut offsets = offsets.clone();
                offsets.sort_unstable();
                let (mut pieces, mut rest, mut taken) = (Vec::new(), payload, 0);
                for offset in offsets {
                    let Some((piece, tail)) = rest.split_at_checked(offset - taken) else { break };
                    pieces.push(piece);
                    (rest, taken) = (tail, offset);
                }
                pieces.push(rest);
                pieces.retain(|piece| !piece.is_empty());
                pieces
            }
        }
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segments::Whole => out.write_str("whole"),
            Segments::Bytes => out.write_str("bytes"),
            Segments::At(offsets) => {
                let offsets: Vec<String> = offsets.iter().map(usize::to_string).collect();
                out.write_str(&offsets.join(","))
            }
        }
    }
}

impl FromStr for Segments {
    type Err = String;

    fn from_str(text: &str) -> Result<Segments, String> {
        match text {
            "whole" => return Ok(Segments::Whole),
            "bytes" => return Ok(Segments::Bytes),
            _ => {}
        }
        let offsets: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
        offsets.map(Segments::At).map_err(|_| {
            format!("{text:?} is neither `whole`, `bytes` nor a list of offsets such as 5,9")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_keeps_every_byte() {
        let payload = b"0123456789";
        for text in ["whole", "bytes", "0", "3", "9,2,2", "4,400"] {
            let pieces = text.parse::<Segments>().unwrap().cut(payload);
            assert_eq!(pieces.concat(), payload, "{text}");
            assert!(pieces.iter().all(|piece| !piece.is_empty()), "{text}");
        }
        assert_eq!(Segments::At(vec![9, 2]).cut(payload).len(), 3);
        assert!("3,x".parse::<Segments>().is_err());
    }
}
