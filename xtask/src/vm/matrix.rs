//! The kernels that sentinel promises to work on.

/// One kernel of the matrix. The patch level is asked from the mirror, never written here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What it is called on the command line and in the snapshots.
    pub(crate) name: &'static str,
    /// How the names of its packages begin; the first decides which patch level is newest.
    pub(super) stems: &'static [&'static str],
}

/// Oldest first. The newest Debian kernels come in two packages: the image, and its modules.
pub(crate) const MATRIX: [Kernel; 4] = [
    Kernel { name: "5.10", stems: &["linux-image-5.10."] },
    Kernel { name: "6.1", stems: &["linux-image-6.1."] },
    Kernel { name: "6.12", stems: &["linux-image-6.12."] },
    Kernel { name: "7.3", stems: &["linux-binary-7.3.", "linux-modules-7.3."] },
];

/// The flavour that boots fast: no drivers but those of virtual machines.
const FLAVOUR: &str = "-cloud-amd64";

/// The names of all kernels.
pub(crate) fn names() -> [&'static str; 4] {
    MATRIX.each_ref().map(|kernel| kernel.name)
}

/// The kernels of these names; all when none is named.
pub(crate) fn select(names: &[String]) -> Vec<&'static Kernel> {
    let wanted =
        |kernel: &&Kernel| names.is_empty() || names.iter().any(|name| name == kernel.name);
    MATRIX.iter().filter(wanted).collect()
}

impl Kernel {
    /// The newest packages of this kernel among the names that the mirror has.
    pub(super) fn newest(&self, known: &[String]) -> Option<Vec<String>> {
        let stem = self.stems.first()?;
        let level = known
            .iter()
            .filter_map(|name| name.strip_prefix(stem)?.strip_suffix(FLAVOUR))
            .filter(|level| is_release(level))
            .max_by_key(|level| numbers(level))?;
        Some(self.stems.iter().map(|stem| format!("{stem}{level}{FLAVOUR}")).collect())
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
    fn a_split_kernel_takes_both_packages_of_one_level() {
        let known =
            ["linux-binary-7.3.4+deb13-cloud-amd64", "linux-binary-7.3.10+deb13-cloud-amd64"];
        assert_eq!(
            newest("7.3", &known).unwrap(),
            ["linux-binary-7.3.10+deb13-cloud-amd64", "linux-modules-7.3.10+deb13-cloud-amd64"]
        );
    }
}
