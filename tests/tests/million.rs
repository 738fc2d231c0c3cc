//! A million packets that no person thought of, through the host's reader and the kernel's: the
//! whole state of the flow is the same after every one.
//!
//! `SENTINEL_SEED` and `SENTINEL_PACKETS` say which and how many; a difference names both, and the
//! flow, so that it can be had again.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use sentinel::replay::{Engine as _, HostEngine, MODES};
use sentinel_common::flow::Flow;
use sentinel_tests::traffic::wild;

use super::{COMPILED, KERNEL};

const SEED: u64 = 0x5e47_14e1;
const PACKETS: u64 = 1_000_000;

/// Both engines over as many packets as asked for.
pub fn a_million_packets_agree() -> Result<()> {
    let (seed, packets) = (setting("SENTINEL_SEED", SEED)?, setting("SENTINEL_PACKETS", PACKETS)?);
    let mut guard = KERNEL.lock().map_err(|_| anyhow::anyhow!("another test panicked"))?;
    let (kernel, last_flow) = guard.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let mut host = HostEngine::new(&COMPILED.signatures, MODES);
    let start = Instant::now();
    let mut endings: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut judged, mut number) = (0, 0);
    while judged < packets {
        *last_flow += 1;
        let flow = *last_flow;
        let mut ending = "unread";
        for (index, packet) in wild::flow(seed, number).iter().enumerate() {
            let where_ = || format!("packet {index} of flow {number}, SENTINEL_SEED={seed}");
            host.packet(flow, packet.direction, &packet.bytes, packet.start)
                .map_err(|error| anyhow::anyhow!("{}: {error}", where_()))?;
            let there = kernel
                .run(flow, packet.direction, packet.start, &packet.bytes)
                .with_context(where_)?;
            let here = host.state(flow).copied().unwrap_or(Flow::NEW);
            ensure!(
                comparable(here) == comparable(there),
                "{}: {packet:?}\nhost   {here:?}\nkernel {there:?}",
                where_()
            );
            judged += 1;
            ending = ending_of(&there);
        }
        *endings.entry(ending).or_default() += 1;
        host.forget(flow);
        kernel.forget(flow);
        number += 1;
    }
    println!(
        "\n{judged} packets of {number} flows ({endings:?}) agree, seed {seed}, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    // Were all flows of one kind, the comparison would be worth little.
    for kind in ["blocked", "read", "unread"] {
        let flows = endings.get(kind).copied().unwrap_or(0);
        ensure!(flows > number / 50, "only {flows} of {number} flows ended {kind}");
    }
    Ok(())
}

/// A flow but for the numbers by which an engine knows its own configuration.
fn comparable(flow: Flow) -> Flow {
    Flow { generation: 0, signatures: 0, ..flow }
}

fn ending_of(flow: &Flow) -> &'static str {
    let read = flow.readers.iter().any(|reader| reader.bytes > 0);
    match (flow.verdict, read) {
        (2, _) => "blocked",
        (_, true) => "read",
        _ => "unread",
    }
}

fn setting(name: &str, otherwise: u64) -> Result<u64> {
    let Some(text) = std::env::var_os(name) else { return Ok(otherwise) };
    let text = text.to_string_lossy();
    text.parse().with_context(|| format!("{name}={text} is no number"))
}
