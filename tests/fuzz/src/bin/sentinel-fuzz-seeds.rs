//! `sentinel-fuzz-seeds FOLDER`: writes the inputs that the fuzzer begins with, a folder a target.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("say the folder to write the seeds into")?;
    let folder = PathBuf::from(folder);
    for target in sentinel_fuzz::TARGETS {
        let into = folder.join(target.name);
        std::fs::create_dir_all(&into)?;
        for (index, seed) in sentinel_fuzz::seeds::of(target.name).into_iter().enumerate() {
            std::fs::write(into.join(format!("seed-{index:03}")), seed)?;
        }
        println!("{}\t{}", target.name, target.max_len);
    }
    Ok(())
}
