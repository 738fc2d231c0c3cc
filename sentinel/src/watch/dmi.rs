//! What the firmware says of the machine, as files of the kernel's.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::attribution::node::of_firmware;
use crate::event::node::Node;

/// Where the kernel shows it.
pub const FOLDER: &str = "/sys/class/dmi/id";
/// Bytes of a file that are read; SMBIOS strings are shorter.
const LONGEST: u64 = 512;

/// Reads a folder such as [`FOLDER`]; nothing where it names no cloud. Some of it only root may read.
#[must_use]
pub fn read(folder: &Path) -> Option<Node> {
    of_firmware(|name| {
        let mut bytes = Vec::new();
        File::open(folder.join(name)).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        String::from_utf8(bytes).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_is_read_and_what_is_too_long_or_absent_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), None);
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("sys_vendor", b"Amazon EC2\n");
        write("board_asset_tag", b"i-0abc\n");
        write("product_uuid", b"\xff\xfe");
        fs::create_dir(folder.path().join("product_name")).unwrap();
        assert_eq!(read(folder.path()).unwrap().instance.as_deref(), Some("i-0abc"));
        write("board_asset_tag", format!("i-{}", "0".repeat(100_000)).as_bytes());
        assert_eq!(read(folder.path()).unwrap().instance, None);
        write("sys_vendor", &[0; 600]);
        assert_eq!(read(folder.path()), None);
    }
}
