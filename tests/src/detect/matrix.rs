//! The matrix: every dialect on every transport, told by the client, by the pool, and by what is
//! said in the middle of a session, in every segmentation. A cell is a check mark when all of it
//! was caught; else its footnote says what was not.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use sentinel_common::flow::Direction;

use super::markdown::{mark, number, table};
use super::reader::Readers;
use crate::traffic::capture::{Capture, Ends};
use crate::traffic::segments::{Manner, Segmentation, write};
use crate::traffic::transport::Transport;
use crate::traffic::{Turn, speech};
use crate::transcript::{Dialect, Variant};

const FIRST_PORT: u16 = 2_000;
const POOL_PORT: u16 = 4_000;
/// One cell in so many goes through the kernel's reader too.
const SAMPLE: usize = 5;

/// Which side's words have to be enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Client,
    Pool,
    Middle,
}

impl Side {
    const ALL: [Self; 3] = [Self::Client, Self::Pool, Self::Middle];

    const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Pool => "pool",
            Self::Middle => "mid-stream",
        }
    }

    const fn direction(self) -> Direction {
        match self {
            Self::Client | Self::Middle => Direction::Egress,
            Self::Pool => Direction::Ingress,
        }
    }

    /// What is said, carried by a transport. In the middle of a session its handshake is over.
    fn turns(self, dialect: Dialect, transport: Transport) -> Vec<Turn> {
        let plain = Variant::default();
        match self {
            Self::Client => transport.carry(&[Turn::client(speech::client(dialect, &plain))]),
            Self::Pool => transport.carry(&[Turn::server(speech::pool(dialect))]),
            Self::Middle => {
                let carried = transport.carry(&[Turn::client(speech::share(dialect, &plain))]);
                let last = carried.into_iter().next_back();
                last.map(|turn| Turn { preamble: Vec::new(), ..turn }).into_iter().collect()
            }
        }
    }
}

/// What became of one cell's flows.
#[derive(Default)]
struct Cell {
    flows: usize,
    caught: usize,
    /// By side and segmentation: flows that went by, of how many.
    missed: BTreeMap<(Side, &'static str), (usize, usize)>,
}

/// The matrix and its footnotes.
pub(super) fn measure(readers: &mut Readers<'_>) -> Result<String> {
    let mut head = vec![String::new()];
    head.extend(Transport::ALL.map(|transport| transport.name().to_owned()));
    let mut notes: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    let (mut cells, mut flows, mut full) = (0, 0, 0);
    for &dialect in Dialect::all() {
        let mut row = vec![dialect.name()];
        for transport in Transport::ALL {
            let cell = cell(dialect, transport, readers, cells % SAMPLE == 0)?;
            cells += 1;
            flows += cell.flows;
            full += usize::from(cell.caught == cell.flows);
            row.push(symbol(&cell, transport, &mut notes));
        }
        rows.push(row);
    }
    let mut text = format!(
        "\nDialect by transport, told from the client's opening alone, from the pool's words alone and \
         from a share mid-stream (a capture that begins there), each whole, byte by byte, out of \
         order, retransmitted with other data and split before every byte: {} of {cells} cells are \
         caught whole (✓), of {} flows run.\n\n",
        full,
        number(flows as u64)
    );
    text += &table(&head, &rows);
    text.push('\n');
    for (index, note) in notes.iter().enumerate() {
        text += &format!("{} {note}  \n", mark(index + 1));
    }
    let plain = Variant::default();
    let late = |dialect: &Dialect| readers.catches_late(&speech::share(*dialect, &plain));
    let late = Dialect::all().iter().filter(|dialect| late(dialect)).count();
    text += &format!(
        "\nA session on which both sides have spoken opens nothing by itself: its next share gives {late} \
         of {} dialects away. That is why the agent gives every open socket a state at its start.\n",
        Dialect::all().len()
    );
    Ok(text)
}

fn cell(
    dialect: Dialect,
    transport: Transport,
    readers: &mut Readers<'_>,
    in_kernel: bool,
) -> Result<Cell> {
    let mut cell = Cell::default();
    for side in Side::ALL {
        let turns = side.turns(dialect, transport);
        let udp = transport == Transport::Udp;
        let all = if udp {
            // A datagram is a message: nothing cuts it.
            vec![Segmentation::Whole]
        } else {
            Segmentation::all(&turns, side.direction())
        };
        let mut capture = Capture::default();
        for (port, &segmentation) in (FIRST_PORT..).zip(&all) {
            let v6 = transport == Transport::TcpV6;
            let ends = Ends { v6, client: port, server: POOL_PORT };
            let from_the_start = side != Side::Middle;
            let side = side.direction();
            write(&mut capture, ends, &turns, Manner { udp, from_the_start, side, segmentation });
        }
        let file = readers.keep(&capture)?;
        let replayed = readers.read(&file)?;
        if in_kernel {
            readers.compare_kernel(&file, &replayed)?;
        }
        let found: HashSet<u16> = replayed
            .caught
            .iter()
            // Whoever speaks first began, where no handshake tells.
            .map(|flow| if flow.ports.0 == POOL_PORT { flow.ports.1 } else { flow.ports.0 })
            .collect();
        for (port, segmentation) in (FIRST_PORT..).zip(&all) {
            let missed = cell.missed.entry((side, segmentation.name())).or_default();
            missed.0 += usize::from(!found.contains(&port));
            missed.1 += 1;
        }
        cell.flows += all.len();
        cell.caught += found.len();
    }
    Ok(cell)
}

/// What stands in the cell; its footnote is found or made.
fn symbol(cell: &Cell, transport: Transport, notes: &mut Vec<String>) -> String {
    if cell.caught == cell.flows {
        return "✓".to_owned();
    }
    let note = note(cell, transport);
    let at = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!("{}{}", if cell.caught == 0 { '✗' } else { '◐' }, mark(at + 1))
}

/// One sentence on what went by.
fn note(cell: &Cell, transport: Transport) -> String {
    let sides =
        Side::ALL.iter().filter_map(|&side| {
            let of_side = || cell.missed.iter().filter(move |((of, _), _)| *of == side);
            let (missed, all) = of_side().fold((0, 0), |sum, (_, n)| (sum.0 + n.0, sum.1 + n.1));
            let name = side.name();
            match missed {
                0 => None,
                _ if missed == all => Some(format!("{name} not caught")),
                _ => {
                    let how = of_side().filter(|(_, (missed, _))| *missed > 0);
                    let how = how.map(|((_, cut), (missed, all))| {
                        if missed == all { (*cut).to_owned() } else { format!("some {cut}s") }
                    });
                    Some(format!("{name} not caught when {}", how.collect::<Vec<_>>().join(", ")))
                }
            }
        });
    let sides: Vec<String> = sides.collect();
    if transport == Transport::Tls {
        return "opaque: nothing in the records can be read, only a destination policy helps"
            .to_owned();
    }
    if cell.caught == 0 {
        return format!("{} is not read", transport.name());
    }
    sides.join("; ")
}
