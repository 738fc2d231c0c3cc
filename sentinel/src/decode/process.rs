//! News of processes: bytes of their ring to [`News`].

use std::mem::offset_of;
use std::sync::Arc;

use sentinel_common::process::{ARGUMENTS_ROOM, Change, Exec, Head, PATH_ROOM};

use super::DecodeError;
use crate::attribution::processes::{Birth, Id, Image, News};

/// Reads one record.
///
/// # Errors
/// When it is not one record of this version.
pub fn news(bytes: &[u8]) -> Result<News, DecodeError> {
    let record = Bytes(bytes);
    let change = record.u32(offset_of!(Head, change));
    let kind = u8::try_from(change).ok().and_then(Change::from_wire);
    let expected = match kind {
        Some(Change::Exec) => size_of::<Exec>(),
        _ => size_of::<Head>(),
    };
    if bytes.len() < expected {
        return Err(DecodeError::Short(bytes.len()));
    }
    let birth = Birth {
        time: record.u64(offset_of!(Head, time)),
        id: record.id(offset_of!(Head, tgid), offset_of!(Head, start_time)),
        parent: record.id(offset_of!(Head, parent), offset_of!(Head, parent_start)),
        inner: record.u32(offset_of!(Head, inner)),
    };
    // The ring gives lengths in steps of eight; these records are such.
    if bytes.len() > expected {
        return Err(DecodeError::Long(bytes.len()));
    }
    match kind {
        Some(Change::Fork) => Ok(News::Fork(birth)),
        Some(Change::Exit) => Ok(News::Exit { time: birth.time, id: birth.id }),
        Some(Change::Exec) => Ok(News::Exec(birth, Arc::new(record.image()?))),
        None => Err(DecodeError::Kind(change as u8)),
    }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn at<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.0.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.at(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.at(offset))
    }

    fn id(&self, pid: usize, start_time: usize) -> Id {
        Id { pid: self.u32(pid), start_time: self.u64(start_time) }
    }

    fn image(&self) -> Result<Image, DecodeError> {
        let flags = self.u32(offset_of!(Exec, flags));
        let device = self.u32(offset_of!(Exec, device));
        let path = self.used(offset_of!(Exec, path), offset_of!(Exec, path_len))?;
        let arguments = self.used(offset_of!(Exec, arguments), offset_of!(Exec, arguments_len))?;
        Ok(Image {
            exe: path_of(path, flags & Exec::PATH_CUT != 0),
            inode: self.u64(offset_of!(Exec, inode)),
            // `MAJOR` and `MINOR` (include/linux/kdev_t.h).
            device: (device >> 20, device & 0xf_ffff),
            deleted: self.u32(offset_of!(Exec, links)) == 0,
            arguments: arguments.to_vec(),
            is_cut: flags & Exec::ARGUMENTS_CUT != 0,
        })
    }

    /// What of a room is in use; both rooms are of one size.
    fn used(&self, room: usize, length: usize) -> Result<&[u8], DecodeError> {
        const { assert!(PATH_ROOM == ARGUMENTS_ROOM) };
        let used = self.u32(length);
        let within = usize::try_from(used).ok().filter(|used| *used <= PATH_ROOM);
        let bytes = within.and_then(|used| self.0.get(room..room.checked_add(used)?));
        bytes.ok_or(DecodeError::Excerpt(used.try_into().unwrap_or(u16::MAX)))
    }
}

/// The kernel gathers names from the file upwards. What lacks its beginning starts with `…`.
fn path_of(names: &[u8], is_cut: bool) -> Option<String> {
    let names = names.strip_suffix(&[0])?;
    let mut path = String::from(if is_cut { "…" } else { "" });
    for name in names.split(|byte| *byte == 0).rev() {
        path.push('/');
        path.push_str(&String::from_utf8_lossy(name));
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(record: &mut [u8], offset: usize, value: &[u8]) {
        record[offset..offset + value.len()].copy_from_slice(value);
    }

    fn exec() -> Vec<u8> {
        let mut record = vec![0xa5; size_of::<Exec>()];
        put(&mut record, offset_of!(Head, time), &5_u64.to_ne_bytes());
        put(&mut record, offset_of!(Head, start_time), &4_u64.to_ne_bytes());
        put(&mut record, offset_of!(Head, tgid), &42_u32.to_ne_bytes());
        put(&mut record, offset_of!(Head, change), &(Change::Exec as u32).to_ne_bytes());
        put(&mut record, offset_of!(Exec, inode), &77_u64.to_ne_bytes());
        put(&mut record, offset_of!(Exec, device), &(8_u32 << 20 | 1).to_ne_bytes());
        put(&mut record, offset_of!(Exec, links), &1_u32.to_ne_bytes());
        put(&mut record, offset_of!(Exec, flags), &0_u32.to_ne_bytes());
        put(&mut record, offset_of!(Exec, path_len), &13_u32.to_ne_bytes());
        put(&mut record, offset_of!(Exec, path), b"curl\0bin\0usr\0");
        put(&mut record, offset_of!(Exec, arguments_len), &8_u32.to_ne_bytes());
        put(&mut record, offset_of!(Exec, arguments), b"curl\0-s\0");
        record
    }

    #[test]
    fn a_program_is_read_and_what_was_in_the_ring_before_is_not() {
        let Ok(News::Exec(Birth { time: 5, id, .. }, image)) = news(&exec()) else { panic!() };
        assert_eq!(id, Id { pid: 42, start_time: 4 });
        assert_eq!(image.exe.as_deref(), Some("/usr/bin/curl"));
        assert_eq!((image.inode, image.device, image.deleted), (77, (8, 1), false));
        assert_eq!(image.cmdline(), ["curl", "-s"]);
    }

    #[test]
    fn a_path_that_was_cut_says_so() {
        let mut record = exec();
        put(&mut record, offset_of!(Exec, flags), &Exec::PATH_CUT.to_ne_bytes());
        let Ok(News::Exec(_, image)) = news(&record) else { panic!() };
        assert_eq!(image.exe.as_deref(), Some("…/usr/bin/curl"));
    }

    #[test]
    fn every_value_of_every_byte_and_every_length_reads_or_is_refused() {
        let whole = exec();
        for length in 0..whole.len() {
            assert!(news(&whole[..length]).is_err(), "{length}");
        }
        for index in 0..offset_of!(Exec, path) {
            for value in 0..=u8::MAX {
                let mut hostile = whole.clone();
                hostile[index] = value;
                if let Err(error) = news(&hostile) {
                    assert!(DecodeError::KINDS.contains(&error.kind()), "{error}");
                }
            }
        }
    }
}
