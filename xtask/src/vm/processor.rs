//! The processors that guests have.

/// One kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processor {
    /// As this machine's.
    X86_64,
    /// Emulated from the first instruction on, here.
    Aarch64,
}

impl Processor {
    /// What Debian calls it.
    pub(super) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The flavour of kernels that boots fast: no drivers but those of virtual machines.
    pub(super) const fn flavour(self) -> &'static str {
        match self {
            Self::X86_64 => "-cloud-amd64",
            Self::Aarch64 => "-cloud-arm64",
        }
    }

    /// Who emulates it, and the machine around it.
    pub(super) const fn emulator(self) -> (&'static str, &'static str) {
        match self {
            Self::X86_64 => ("qemu-system-x86_64", "q35"),
            Self::Aarch64 => ("qemu-system-aarch64", "virt"),
        }
    }

    /// What the kernel is told. On a busy machine the emulated timer is late, and an x86 kernel's check of it panics.
    pub(super) const fn kernel_line(self) -> &'static str {
        match self {
            Self::X86_64 => "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check",
            Self::Aarch64 => "console=ttyAMA0 quiet panic=-1 mitigations=off",
        }
    }
}
