//! The classic pcap file: evidence that other tools can open.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::Frame;

/// Little-endian file with nanosecond timestamps.
const MAGIC: u32 = 0xa1b2_3c4d;
const ETHERNET: u32 = 1;
const SNAPLEN: u32 = 262_144;

pub(super) fn write(frames: &[Frame], path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&MAGIC.to_le_bytes())?;
    file.write_all(&[2, 0, 4, 0])?;
    for word in [0, 0, SNAPLEN, ETHERNET] {
        file.write_all(&u32::to_le_bytes(word))?;
    }
    for frame in frames {
        let len = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        let seconds = frame.time.as_secs() as u32;
        for word in [seconds, frame.time.subsec_nanos(), len, len] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame.bytes)?;
    }
    file.flush()
}
