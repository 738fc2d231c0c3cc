//! Capture files, packet by packet, in bounded memory.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use super::error::ReplayError;

/// Bytes of a file held at a time, to begin with.
const BUFFER: usize = 256 * 1024;
/// A packet or block longer than this is no packet but damage.
const MAX_BUFFER: usize = 16 * 1024 * 1024;

/// A captured frame.
pub(super) struct Frame<'a> {
    /// Its number, from 1, as other programs count.
    pub(super) number: u64,
    /// How its first header is to be read.
    pub(super) link: Linktype,
    /// What was captured.
    pub(super) data: &'a [u8],
    /// Whether that is all there was on the wire.
    pub(super) whole: bool,
}

/// Reads a capture to its end and hands over every packet with the bytes read so far.
///
/// # Errors
/// What kept the file from being read, or read to its end; what came before was handed over. An
/// error of `each` ends the reading as it is.
pub(super) fn read(
    path: &Path,
    each: impl FnMut(Frame<'_>, u64) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let file =
        File::open(path).map_err(|error| ReplayError::Io { file: path.to_owned(), error })?;
    read_from(path, BufReader::new(file), each)
}

fn read_from(
    path: &Path,
    source: impl Read + Send,
    mut each: impl FnMut(Frame<'_>, u64) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let file = || path.to_path_buf();
    let mut reader = create_reader(BUFFER, source).map_err(|error| match error {
        PcapError::ReadError => unreadable(path),
        _ => ReplayError::Foreign { file: file() },
    })?;
    let (mut packets, mut bytes, mut capacity) = (0u64, 0u64, BUFFER);
    let mut links = Links::default();
    loop {
        if links.shorter_than_a_block(reader.data()) {
            return Err(ReplayError::Corrupt { file: file(), packets });
        }
        match reader.next() {
            Ok((len, block)) => {
                if let Some((link, data, on_wire)) = links.packet(&block) {
                    packets += 1;
                    let whole = data.len() >= on_wire;
                    each(Frame { number: packets, link, data, whole }, bytes)?;
                }
                drop(block);
                bytes += len as u64;
                // A block of no length would be read for ever.
                if len == 0 {
                    return Err(ReplayError::Corrupt { file: file(), packets });
                }
                reader.consume(len);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => {
                if reader.reader_exhausted() {
                    return Err(ReplayError::Truncated { file: file(), packets });
                }
                refill(reader.as_mut(), &mut capacity, path, packets)?;
            }
            Err(PcapError::UnexpectedEof) => {
                return Err(ReplayError::Truncated { file: file(), packets });
            }
            Err(PcapError::BufferTooSmall) => grow(reader.as_mut(), &mut capacity, path, packets)?,
            Err(PcapError::ReadError) => return Err(unreadable(path)),
            Err(_) => return Err(ReplayError::Corrupt { file: file(), packets }),
        }
    }
}

type Reader<'a> = dyn PcapReaderIterator + Send + 'a;

fn refill(
    reader: &mut Reader<'_>,
    capacity: &mut usize,
    path: &Path,
    packets: u64,
) -> Result<(), ReplayError> {
    let before = reader.data().len();
    let refilled = reader.refill().map_err(|error| matches!(error, PcapError::ReadError));
    match refilled {
        Err(true) => Err(unreadable(path)),
        // The buffer is full and still holds no whole block.
        Err(false) => grow(reader, capacity, path, packets),
        Ok(()) if reader.data().len() == before && !reader.reader_exhausted() => {
            grow(reader, capacity, path, packets)
        }
        Ok(()) => Ok(()),
    }
}

fn grow(
    reader: &mut Reader<'_>,
    capacity: &mut usize,
    path: &Path,
    packets: u64,
) -> Result<(), ReplayError> {
    *capacity *= 2;
    if *capacity > MAX_BUFFER || !reader.grow(*capacity) {
        return Err(ReplayError::Corrupt { file: path.to_path_buf(), packets });
    }
    Ok(())
}

fn unreadable(path: &Path) -> ReplayError {
    let error = std::io::Error::other("reading failed");
    ReplayError::Io { file: PathBuf::from(path), error }
}

/// Bytes of a pcapng block of no content: its type and twice its length (draft-ietf-opsawg-pcapng,
/// section 3.1).
const EMPTY_BLOCK: u32 = 12;

/// Link types by interface: one per pcap, any number per pcapng section.
#[derive(Default)]
struct Links {
    interfaces: Vec<Linktype>,
    /// How a number is read in the section of a pcapng.
    section: Option<fn([u8; 4]) -> u32>,
}

impl Links {
    /// Whether a pcapng block begins here that claims to be shorter than any can be. `pcap-parser`
    /// 0.17 subtracts these 12 bytes from the length of a block of process information before it
    /// has looked whether it has them.
    fn shorter_than_a_block(&self, data: &[u8]) -> bool {
        let (Some(number), Some((_, behind))) = (self.section, data.split_first_chunk::<4>())
        else {
            return false;
        };
        behind.first_chunk().is_some_and(|length| number(*length) < EMPTY_BLOCK)
    }

    /// A block's packet: link type, captured bytes, length on the wire.
    fn packet<'a>(&mut self, block: &'a PcapBlockOwned<'_>) -> Option<(Linktype, &'a [u8], usize)> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.interfaces = vec![header.network];
                None
            }
            PcapBlockOwned::Legacy(packet) => {
                Some((*self.interfaces.first()?, packet.data, packet.origlen as usize))
            }
            PcapBlockOwned::NG(Block::SectionHeader(header)) => {
                self.interfaces.clear();
                self.section = Some(match header.big_endian() {
                    true => u32::from_be_bytes,
                    false => u32::from_le_bytes,
                });
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                self.interfaces.push(interface.linktype);
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let link = *self.interfaces.get(packet.if_id as usize)?;
                Some((link, packet.packet_data(), packet.origlen as usize))
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                Some((*self.interfaces.first()?, packet.packet_data(), packet.origlen as usize))
            }
            PcapBlockOwned::NG(_) => None,
        }
    }
}
