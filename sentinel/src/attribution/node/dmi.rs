//! What the firmware says of a machine (SMBIOS, as Linux shows it): enough to know the cloud, and on some
//! the instance.

use super::clean;
use crate::event::node::Node;

/// What is read of it, by the names that Linux gives.
pub const FILES: [&str; 7] = [
    "sys_vendor",
    "product_name",
    "product_uuid",
    "product_serial",
    "bios_version",
    "board_asset_tag",
    "chassis_asset_tag",
];

/// What Azure writes into every machine of its own, and Hyper-V elsewhere does not.
const AZURE: &str = "7783-7084-3265-9085-8269-3286-77";
/// The same of Oracle's.
const ORACLE: &str = "OracleCloud.com";

/// Vendors that name themselves, and whether the serial number is the instance's id.
const VENDORS: [(&str, &str, bool); 8] = [
    ("DigitalOcean", "digitalocean", true),
    ("Hetzner", "hcloud", true),
    ("Vultr", "vultr", false),
    ("Scaleway", "scaleway", false),
    ("Exoscale", "exoscale", false),
    ("UpCloud", "upcloud", false),
    ("Akamai", "linode", false),
    ("Linode", "linode", false),
];

/// Reads what `read` finds under the names of [`FILES`]. Absent where it names no cloud.
#[must_use]
pub fn of_firmware(read: impl Fn(&str) -> Option<String>) -> Option<Node> {
    let word = |name: &str| read(name).and_then(|text| clean(&text)).unwrap_or_default();
    let of = |provider: &str, instance: Option<String>| {
        Some(Node { provider: Some(provider.to_owned()), instance, ..Node::default() })
    };
    let vendor = word("sys_vendor");
    if is_amazon(&vendor, &word) {
        return of("aws", Some(word("board_asset_tag")).filter(|tag| tag.starts_with("i-")));
    }
    if vendor == "Google" && word("product_name") == "Google Compute Engine" {
        return of("gcp", None);
    }
    if vendor == "Microsoft Corporation" && word("chassis_asset_tag") == AZURE {
        return of("azure", None);
    }
    if word("chassis_asset_tag") == ORACLE {
        return of("oracle", None);
    }
    if word("product_name") == "Alibaba Cloud ECS" {
        return of("alicloud", None);
    }
    let (_, provider, has_id) = VENDORS.iter().find(|(known, ..)| *known == vendor)?;
    let serial = Some(word("product_serial")).filter(|serial| *has_id && !serial.is_empty());
    of(provider, serial)
}

/// Machines under Xen say so only in small print.
fn is_amazon(vendor: &str, word: &impl Fn(&str) -> String) -> bool {
    let under_xen = || {
        let uuid = word("product_uuid").to_ascii_lowercase();
        word("bios_version").ends_with(".amazon") && uuid.starts_with("ec2")
    };
    vendor == "Amazon EC2" || (vendor == "Xen" && under_xen())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn machine<'a>(files: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let file = files.iter().find(|(file, _)| *file == name)?;
            Some(format!("{}\n", file.1))
        }
    }

    /// Files, provider, instance.
    type Case = (&'static [(&'static str, &'static str)], &'static str, Option<&'static str>);

    #[test]
    fn clouds_are_known_by_what_they_write() {
        let cases: [Case; 9] = [
            (
                &[("sys_vendor", "Amazon EC2"), ("board_asset_tag", "i-0abc1234567890def")],
                "aws",
                Some("i-0abc1234567890def"),
            ),
            (&[("sys_vendor", "Amazon EC2"), ("board_asset_tag", "Not Specified")], "aws", None),
            (
                &[
                    ("sys_vendor", "Xen"),
                    ("bios_version", "4.11.amazon"),
                    ("product_uuid", "EC2A1B2C-0000-0000-0000-000000000000"),
                ],
                "aws",
                None,
            ),
            (&[("sys_vendor", "Google"), ("product_name", "Google Compute Engine")], "gcp", None),
            (
                &[("sys_vendor", "Microsoft Corporation"), ("chassis_asset_tag", AZURE)],
                "azure",
                None,
            ),
            (
                &[("sys_vendor", "DigitalOcean"), ("product_serial", "123456")],
                "digitalocean",
                Some("123456"),
            ),
            (&[("sys_vendor", "Hetzner"), ("product_serial", "77")], "hcloud", Some("77")),
            (&[("sys_vendor", "QEMU"), ("chassis_asset_tag", ORACLE)], "oracle", None),
            (&[("sys_vendor", "Vultr"), ("product_serial", "1")], "vultr", None),
        ];
        for (files, provider, instance) in cases {
            let node = of_firmware(machine(files)).unwrap();
            assert_eq!(node.provider.as_deref(), Some(provider), "{files:?}");
            assert_eq!(node.instance.as_deref(), instance, "{files:?}");
        }
    }

    #[test]
    fn other_machines_are_of_no_cloud() {
        for files in [
            &[("sys_vendor", "QEMU")][..],
            &[("sys_vendor", "Xen"), ("bios_version", "4.11"), ("product_uuid", "ec2")],
            &[("sys_vendor", "Microsoft Corporation"), ("product_name", "Virtual Machine")],
            &[("sys_vendor", "Google"), ("product_name", "Caroline")],
            &[("sys_vendor", "Dell Inc."), ("board_asset_tag", "i-0abc")],
            &[],
        ] {
            assert_eq!(of_firmware(machine(files)), None, "{files:?}");
        }
    }

    proptest! {
        #[test]
        fn no_firmware_makes_it_fail(words in proptest::collection::vec(".{0,300}", FILES.len())) {
            let node = of_firmware(|name| {
                let at = FILES.iter().position(|file| *file == name)?;
                words.get(at).cloned()
            });
            prop_assert!(node.is_none_or(|node| node.provider.is_some()));
        }
    }
}
