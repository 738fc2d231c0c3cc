//! Every dialect, in every spelling, cut at every byte: recall, and what was read until then.

use std::collections::HashSet;

use anyhow::Result;
use sentinel_common::flow::Direction;

use super::markdown::{number, percentiles, table};
use super::peer::Peer;
use super::reader::Readers;
use crate::traffic::capture::{Capture, Ends};
use crate::traffic::segments::{Manner, Segmentation, write};
use crate::traffic::{Turn, speech};
use crate::transcript::Dialect;

/// Cuts of one transcript that one capture holds: a flow each, told apart by its port.
const FLOWS: usize = 20_000;
/// The client's first port, and the pool's (which means nothing to anybody).
const FIRST_PORT: u16 = 2_000;
const POOL_PORT: u16 = 4_000;

#[derive(Default)]
struct Row {
    flows: usize,
    caught: usize,
    by_peer: usize,
    bytes: Vec<u32>,
    missed: Vec<String>,
}

/// One table, a row a dialect.
pub(super) fn measure(readers: &mut Readers<'_>, peer: Option<&Peer>) -> Result<String> {
    let mut rows = Vec::new();
    let mut missed = Vec::new();
    let mut sum = Row::default();
    for &dialect in Dialect::all() {
        let mut row = of_dialect(dialect, readers, peer)?;
        let mut cells = vec![dialect.name(), number(row.flows as u64)];
        cells.push(number(row.caught as u64));
        cells.extend(peer.map(|_| number(row.by_peer as u64)));
        cells.push(percentiles(&mut row.bytes));
        rows.push(cells);
        missed.extend(row.missed.into_iter().map(|what| format!("{}: {what}", dialect.name())));
        sum.flows += row.flows;
        sum.caught += row.caught;
        sum.by_peer += row.by_peer;
        sum.bytes.extend(row.bytes);
    }
    let mut cells = vec!["all".to_owned(), number(sum.flows as u64), number(sum.caught as u64)];
    cells.extend(peer.map(|_| number(sum.by_peer as u64)));
    cells.push(percentiles(&mut sum.bytes));
    rows.push(cells);
    let mut head: Vec<String> = ["dialect", "flows", "sentinel"].map(str::to_owned).to_vec();
    head.extend(peer.map(Peer::name));
    head.push("bytes read (p50 / p99 / max), but for the 9,000".to_owned());
    let mut text = format!(
        "\nThe client's opening alone (the pool is silent), in {} spellings, each whole, byte by byte, \
         out of order, retransmitted with other data, and split before every byte:\n\n",
        speech::variants().len()
    );
    text += &table(&head, &rows);
    if !missed.is_empty() {
        text += &format!("\nNot caught: {}.\n", missed.join("; "));
    }
    Ok(text)
}

fn of_dialect(dialect: Dialect, readers: &Readers<'_>, peer: Option<&Peer>) -> Result<Row> {
    let mut row = Row::default();
    for (name, variant) in speech::variants() {
        let turns = [Turn::client(speech::client(dialect, &variant))];
        let mut all = Segmentation::all(&turns, Direction::Egress);
        // Of 9,000 bytes of padding every ninth split is enough.
        if all.len() > 2_000 {
            all = all.into_iter().step_by(9).collect();
        }
        all.truncate(FLOWS);
        let capture = capture(&turns, &all);
        let file = readers.keep(&capture)?;
        let replayed = readers.read(&file)?;
        let found: HashSet<u16> = replayed.caught.iter().map(|flow| flow.ports.0).collect();
        row.flows += all.len();
        row.caught += found.len();
        if variant.padding == 0 {
            row.bytes.extend(replayed.bytes);
        }
        if let Some(peer) = peer {
            row.by_peer += peer.mining(&file)?.len();
        }
        if found.len() < all.len() {
            row.missed.push(format!("{name} ({} of {})", all.len() - found.len(), all.len()));
        }
    }
    Ok(row)
}

/// The turns once for each segmentation, from ports that count up.
fn capture(turns: &[Turn], all: &[Segmentation]) -> Capture {
    let mut capture = Capture::default();
    for (port, &segmentation) in (FIRST_PORT..).zip(all) {
        let ends = Ends { v6: false, client: port, server: POOL_PORT };
        let side = Direction::Egress;
        let manner = Manner { udp: false, from_the_start: true, side, segmentation };
        write(&mut capture, ends, turns, manner);
    }
    capture
}
