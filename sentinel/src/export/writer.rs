//! A thread that writes lines, so that a slow disk or a stopped reader of standard output holds up
//! neither the engine nor the ring.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use super::journal::Journal;
use super::metrics::Metrics;
use super::table::Table;
use crate::api::NodeNow;
use crate::event::line::Line;
use crate::event::node::Record;

/// Lines that may wait to be written.
const QUEUE: usize = 8192;

/// Where lines go.
#[derive(Debug, Default)]
pub struct Outputs {
    /// JSON lines.
    pub journal: Option<Journal>,
    /// A table for people, on standard output.
    pub table: Option<Table>,
}

/// The thread.
#[derive(Debug)]
pub struct Writer {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Line(Box<Line>),
    Reopen,
    Close,
}

impl Writer {
    /// Starts it.
    ///
    /// # Errors
    /// When the system has no room for a thread.
    pub fn start(outputs: Outputs, metrics: Metrics, node: NodeNow) -> io::Result<Self> {
        let (orders, received) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(outputs, &received, &metrics, &node))?;
        Ok(Self { orders, thread })
    }

    /// Hands a line over; `false` when the queue is full and the line is lost.
    #[must_use]
    pub fn line(&self, line: Line) -> bool {
        !matches!(self.orders.try_send(Order::Line(Box::new(line))), Err(TrySendError::Full(_)))
    }

    /// Has the journal's file opened anew; a full queue means waiting.
    pub fn reopen(&self) {
        if self.orders.send(Order::Reopen).is_err() {
            tracing::error!("the journal's thread has ended");
        }
    }

    /// Writes what waits and ends. May block for as long as the output does.
    pub fn close(self) {
        if self.orders.send(Order::Close).is_ok() && self.thread.join().is_err() {
            tracing::error!("the journal's thread has failed");
        }
    }
}

fn write(mut outputs: Outputs, orders: &Receiver<Order>, metrics: &Metrics, node: &NodeNow) {
    let mut failing = false;
    for order in orders {
        let done = match order {
            Order::Line(line) => outputs.line(&Record { line: &line, node: &node.get() }),
            Order::Reopen => outputs.reopen(),
            Order::Close => break,
        };
        match done {
            Ok(()) => failing = false,
            Err(error) => {
                metrics.lost("journal");
                if !failing {
                    tracing::error!("events cannot be written: {error}");
                }
                failing = true;
            }
        }
    }
}

impl Outputs {
    fn line(&mut self, record: &Record<'_>) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.write(record)?;
        }
        match &mut self.table {
            Some(table) => {
                let mut out = io::stdout().lock();
                out.write_all(table.render(record.line).as_bytes())?;
                out.flush()
            }
            None => Ok(()),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.journal.as_mut().map_or(Ok(()), Journal::reopen)
    }

    /// What suits standard output: a table on a terminal, JSON lines elsewhere. With `events`, JSON
    /// lines go there (`-` being standard output), and a table is left for a terminal only.
    ///
    /// # Errors
    /// When the journal's file cannot be opened.
    pub fn suitable(events: Option<&std::path::Path>) -> io::Result<Self> {
        let is_terminal = io::stdout().is_terminal();
        let table = || is_terminal.then(Table::for_terminal);
        match events {
            Some(path) if path.as_os_str() == "-" => {
                Ok(Self { journal: Some(Journal::Stdout), table: None })
            }
            Some(path) => {
                Ok(Self { journal: Some(Journal::file(path.to_owned())?), table: table() })
            }
            None if is_terminal => Ok(Self { journal: None, table: table() }),
            None => Ok(Self { journal: Some(Journal::Stdout), table: None }),
        }
    }
}
