//! The compiled programs, and loading one of any type.

use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};

use super::pin::Pins;
use super::{OpenError, lsm, platform};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sentinel-ebpf"));

/// Parses the object and creates its maps, or opens those that are pinned.
pub(super) fn create(pins: Option<&Pins>) -> Result<Ebpf, OpenError> {
    if OBJECT.is_empty() {
        return Err(OpenError::NoPrograms);
    }
    // The oldest kernel it was seen on; between 5.10, which lacks it, and this one nobody looked.
    let asks_ancestor =
        u8::from(platform::kernel_release().is_some_and(|release| release >= (6, 1)));
    let mut loader = EbpfLoader::new();
    for (name, path) in pins.into_iter().flat_map(Pins::maps) {
        loader.map_pin_path(name, path);
    }
    loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("ASKS_ANCESTOR", &asks_ancestor, true)
        .load(OBJECT)
        .map_err(|error| OpenError::refused("the maps", &error))
}

/// Loads one program, whatever its type.
pub(super) fn load(ebpf: &mut Ebpf, name: &str) -> Result<(), OpenError> {
    load_program(named(ebpf, name)?).map_err(|error| refused(name, &error))
}

fn named<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, OpenError> {
    let missing = || OpenError::Missing { what: "program", name: name.to_owned() };
    ebpf.program_mut(name).ok_or_else(missing)
}

fn refused(name: &str, error: &ProgramError) -> OpenError {
    OpenError::refused(format!("the program `{name}`"), error)
}

fn load_program(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::KProbe(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::LsmCgroup(program) => program.load(lsm::HOOK, &Btf::from_sys_fs()?),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Whether the kernel has no such hook: the verifier was not asked, or walked nothing.
fn is_lacking(error: &ProgramError) -> bool {
    match error {
        ProgramError::Btf(_) => true,
        ProgramError::LoadError { verifier_log, .. } => {
            let log = verifier_log.to_string();
            log.trim().is_empty() || log.contains("processed 0 insns")
        }
        _ => false,
    }
}

/// Loads every program of the object that this kernel has a hook for, and returns its name and how many
/// instructions the verifier walked (`None` on kernels before 5.16, which do not tell).
///
/// # Errors
/// When the kernel refuses one.
pub fn verified_instructions() -> Result<Vec<(String, Option<u32>)>, OpenError> {
    let mut ebpf = create(None)?;
    let mut names: Vec<String> = ebpf.programs().map(|(name, _)| name.to_owned()).collect();
    names.sort();
    let mut figures = Vec::new();
    for name in names {
        match load_program(named(&mut ebpf, &name)?) {
            Err(error) if name == lsm::HOOK && is_lacking(&error) => continue,
            done => done.map_err(|error| refused(&name, &error))?,
        }
        let info = ebpf.program(&name).and_then(|program| match program {
            Program::CgroupSkb(program) => program.info().ok(),
            Program::CgroupSockAddr(program) => program.info().ok(),
            Program::CgroupSock(program) => program.info().ok(),
            Program::KProbe(program) => program.info().ok(),
            Program::RawTracePoint(program) => program.info().ok(),
            Program::SchedClassifier(program) => program.info().ok(),
            Program::LsmCgroup(program) => program.info().ok(),
            _ => None,
        });
        figures.push((name, info.and_then(|info| info.verified_instruction_count())));
    }
    Ok(figures)
}
