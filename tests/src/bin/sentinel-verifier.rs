//! Loads every kernel program and prints what the verifier walked: `program<TAB>instructions`.

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let figures = sentinel::datapath::verified_instructions()
        .context("the programs do not load on this kernel")?;
    for (program, instructions) in figures {
        match instructions {
            Some(instructions) => println!("{program}\t{instructions}"),
            None => println!("{program}\t-"),
        }
    }
    Ok(())
}
