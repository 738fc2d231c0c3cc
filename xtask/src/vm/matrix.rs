//! The kernels that sentinel promises to work on.

use super::processor::Processor;

/// One kernel of the matrix. The patch level is asked from the mirror, never written here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What it is called on the command line and in the snapshots.
    pub(crate) name: &'static str,
    /// How the names of its packages begin; the first decides which patch level is newest.
    pub(super) stems: &'static [&'static str],
    pub(super) processor: Processor,
}

/// Oldest first. The newest Debian kernels come in two packages: the image, and its modules.
pub(crate) const MATRIX: [Kernel; 4] = [
    x86_64("5.10", &["linux-image-5.10."]),
    x86_64("6.1", &["linux-image-6.1."]),
    x86_64("6.12", &["linux-image-6.12."]),
    x86_64("7.3", &["linux-binary-7.3.", "linux-modules-7.3."]),
];

/// Those that are booted only when they are named: all that runs in them is compiled once more.
const ASIDE: [Kernel; 1] =
    [Kernel { name: "6.1-aarch64", stems: &["linux-image-6.1."], processor: Processor::Aarch64 }];

const fn x86_64(name: &'static str, stems: &'static [&'static str]) -> Kernel {
    Kernel { name, stems, processor: Processor::X86_64 }
}

/// Every kernel that can be named.
pub(super) fn all() -> impl Iterator<Item = &'static Kernel> {
    MATRIX.iter().chain(&ASIDE)
}

/// The names of all kernels.
pub(crate) fn names() -> Vec<&'static str> {
    all().map(|kernel| kernel.name).collect()
}

/// The kernels of these names; the matrix when none is named.
pub(crate) fn select(names: &[String]) -> Vec<&'static Kernel> {
    if names.is_empty() {
        return MATRIX.iter().collect();
    }
    all().filter(|kernel| names.iter().any(|name| name == kernel.name)).collect()
}

impl Kernel {
    /// The newest packages of this kernel among the names that the mirror has.
    pub(super) fn newest(&self, known: &[String]) -> Option<Vec<String>> {
        let stem = self.stems.first()?;
        let flavour = self.processor.flavour();
        let level = known
            .iter()
            .filter_map(|name| name.strip_prefix(stem)?.strip_suffix(flavour))
            .filter(|level| is_release(level))
            .max_by_key(|level| numbers(level))?;
        Some(self.stems.iter().map(|stem| format!("{stem}{level}{flavour}")).collect())
    }
}

/// `0-46` and `117+deb12` are releases; `0-0.deb11.48` is a backport of another suite.
fn is_release(level: &str) -> bool {
    let (level, suite) = level.split_once('+').unwrap_or((level, "deb0"));
    let plain = level.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-');
    let suite = suite.strip_prefix("deb").unwrap_or_default();
    plain && !suite.is_empty() && suite.chars().all(|c| c.is_ascii_digit())
}

fn numbers(level: &str) -> Vec<u64> {
    level.split(|c: char| !c.is_ascii_digit()).filter_map(|run| run.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(name: &str, known: &[&str]) -> Option<Vec<String>> {
        let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        select(&[name.to_owned()]).first().unwrap().newest(&known)
    }

    #[test]
    fn the_newest_patch_level_wins_by_number_not_by_letter() {
        let known = ["linux-image-5.10.0-9-cloud-amd64", "linux-image-5.10.0-46-cloud-amd64"];
        assert_eq!(newest("5.10", &known).unwrap(), ["linux-image-5.10.0-46-cloud-amd64"]);
    }

    #[test]
    fn other_flavours_backports_and_meta_packages_are_not_taken() {
        let known = [
            "linux-image-6.1.0-56-cloud-amd64-unsigned",
            "linux-image-6.1.0-57-rt-amd64",
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.1.0-0.deb11.99-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
        ];
        assert_eq!(newest("6.1", &known), None);
        assert_eq!(newest("6.12", &known).unwrap(), ["linux-image-6.12.117+deb12-cloud-amd64"]);
    }

    #[test]
    fn another_processors_kernel_is_not_taken() {
        let known = ["linux-image-6.1.0-56-cloud-amd64", "linux-image-6.1.0-55-cloud-arm64"];
        assert_eq!(newest("6.1", &known).unwrap(), ["linux-image-6.1.0-56-cloud-amd64"]);
        assert_eq!(newest("6.1-aarch64", &known).unwrap(), ["linux-image-6.1.0-55-cloud-arm64"]);
    }

    #[test]
    fn a_split_kernel_takes_both_packages_of_one_level() {
        let known =
            ["linux-binary-7.3.4+deb13-cloud-amd64", "linux-binary-7.3.10+deb13-cloud-amd64"];
        assert_eq!(
            newest("7.3", &known).unwrap(),
            ["linux-binary-7.3.10+deb13-cloud-amd64", "linux-modules-7.3.10+deb13-cloud-amd64"]
        );
    }
}
