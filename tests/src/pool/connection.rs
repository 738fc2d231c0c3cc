//! One miner's connection to the pool.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Instant;

use super::Manner;
use super::answers::{Answers, job};
use super::record::{PoolConnection, PoolRecord};
use crate::errno;
use crate::server::{Stop, is_timeout};
use crate::sync::lock;

/// Serves one connection and writes down how it ended.
pub(super) fn serve(stream: TcpStream, stop: &Stop, manner: &Manner, record: &Mutex<PoolRecord>) {
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
    let index = {
        let mut record = lock(record);
        let (bytes, replies, ended) = (Vec::new(), 0, None);
        record.connections.push(PoolConnection { peer, local, bytes, replies, ended });
        record.connections.len() - 1
    };
    let mut session = Session { stream, stop, manner, record, index, answers: Answers::default() };
    let ended = match session.talk() {
        Ok(()) => "closed".to_owned(),
        Err(error) => errno::name(&error),
    };
    session.note(|connection| connection.ended = Some(ended));
}

struct Session<'a> {
    stream: TcpStream,
    stop: &'a Stop,
    manner: &'a Manner,
    record: &'a Mutex<PoolRecord>,
    index: usize,
    answers: Answers,
}

impl Session<'_> {
    fn talk(&mut self) -> io::Result<()> {
        if let Some(greeting) = &self.manner.greeting {
            self.stream.write_all(greeting.as_bytes())?;
        }
        let mut line = Vec::new();
        let mut last_job = Instant::now();
        let mut buffer = [0; 16_384];
        while !self.stop.requested() {
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if is_timeout(&error) => 0,
                Err(error) => return Err(error),
            };
            let read = buffer.get(..count).unwrap_or_default();
            self.note(|connection| connection.bytes.extend_from_slice(read));
            for &byte in read {
                line.push(byte);
                if byte == b'\n' {
                    self.answer(&std::mem::take(&mut line))?;
                }
            }
            let due = self.manner.job_every.is_some_and(|every| last_job.elapsed() >= every);
            if due && self.answers.logged_in {
                last_job = Instant::now();
                self.say(&job(self.manner.dialect))?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, line: &[u8]) -> io::Result<()> {
        if self.manner.silent {
            return Ok(());
        }
        for answer in self.answers.to(self.manner.dialect, line) {
            self.say(&answer)?;
        }
        Ok(())
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(line.as_bytes())?;
        self.note(|connection| connection.replies += 1);
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut PoolConnection)) {
        if let Some(connection) = lock(self.record).connections.get_mut(self.index) {
            change(connection);
        }
    }
}
