//! A client that talks like a miner and hashes nothing.

mod options;
mod report;
mod segments;
mod session;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::transcript;

pub use options::{Family, Options};
pub use report::{Ended, Report};
pub use segments::Segments;

use session::{End, Session};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Holds one session and tells how it ended; an error means the options contradict themselves.
pub fn run(options: &Options) -> Result<Report> {
    let target = options.address()?;
    let begun = Instant::now();
    let stream = match TcpStream::connect_timeout(&target, CONNECT_WITHIN) {
        Ok(stream) => stream,
        Err(error) => {
            let mut report = blank(options, begun);
            report.errno = Some(crate::errno::name(&error));
            report.noticed_ms = Some(report.elapsed_ms);
            return Ok(report);
        }
    };
    let mut session = Session::new(stream, options)?;
    let end = talk(&mut session, options).err();
    let mut report = Report { local: Some(session.local), ..blank(options, begun) };
    report.bytes_written = session.written;
    report.bytes_read = session.read;
    report.lines_written = session.lines;
    report.answers = session.answers;
    report.notifications = session.notifications;
    match end {
        None if session.answers >= session.lines => report.ended = Ended::Completed,
        None => report.ended = Ended::Unanswered,
        Some(End::Closed) => report.ended = Ended::Closed,
        Some(End::Error(error)) => {
            report.ended = Ended::Cut;
            report.errno = Some(crate::errno::name(&error));
        }
    }
    if matches!(report.ended, Ended::Cut | Ended::Closed) {
        report.noticed_ms = Some(session.since_write());
    }
    Ok(report)
}

/// The opening, then the shares.
fn talk(session: &mut Session<'_>, options: &Options) -> Result<(), End> {
    let opening = options.opening();
    let hold = Duration::from_millis(options.hold_ms);
    if options.pipelined {
        session.say(&opening.concat(), u32::try_from(opening.len()).unwrap_or(u32::MAX))?;
        session.await_answers()?;
    } else {
        for line in &opening {
            session.say(line, 1)?;
            session.await_answers()?;
        }
    }
    let first_id = u32::try_from(opening.len()).unwrap_or(u32::MAX).saturating_add(1);
    for id in (first_id..).take(options.submits as usize) {
        session.listen(hold)?;
        session.say(&transcript::submit(options.dialect, id, &options.variant), 1)?;
        session.await_answers()?;
    }
    session.listen(hold)
}

/// A report of a session that never was.
fn blank(options: &Options, begun: Instant) -> Report {
    Report {
        ended: Ended::Refused,
        errno: None,
        local: None,
        target: options.target,
        bytes_written: 0,
        bytes_read: 0,
        lines_written: 0,
        answers: 0,
        notifications: 0,
        noticed_ms: None,
        elapsed_ms: millis(begun.elapsed()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
