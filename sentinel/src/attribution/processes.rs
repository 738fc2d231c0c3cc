//! Who is who: every process of the host, what it ran at which time, and whose child it was. A bounded
//! table, told by the kernel of what changes and by `/proc` of what was there before.
//!
//! A process is its number and its start. What it runs is remembered with the moment it began to, so
//! that an event is of the program that ran then, and not of one that the process has become since. The
//! ended are kept for a while: news of what they did may still come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::identity::SLACK;

/// Processes remembered, the lately ended included.
pub const CAPACITY: usize = 32_768;
/// How long an ended process is remembered where there is room, nanoseconds.
pub const GRACE: u64 = 10_000_000_000;
/// Parents that are told of a process.
pub const PARENTS: usize = 8;
/// Programs that are remembered of one process.
const IMAGES: usize = 4;

/// A process, for ever: numbers are given again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Process id.
    pub pid: u32,
    /// Start, nanoseconds since boot.
    pub start_time: u64,
}

/// What a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The program's path; `None` for a kernel thread or where it could not be read.
    pub exe: Option<String>,
    /// Inode number of its file; 0 when unknown.
    pub inode: u64,
    /// Major and minor number of its device.
    pub device: (u32, u32),
    /// Its file had no name any more.
    pub deleted: bool,
    /// Arguments, each with its NUL.
    pub arguments: Vec<u8>,
    /// There were more.
    pub is_cut: bool,
}

impl Image {
    /// The arguments as text. The last of those that were cut ends in `…`.
    #[must_use]
    pub fn cmdline(&self) -> Vec<String> {
        let bytes = self.arguments.strip_suffix(&[0]).unwrap_or(&self.arguments);
        if bytes.is_empty() {
            return Vec::new();
        }
        let arguments = bytes.split(|byte| *byte == 0);
        let mut arguments: Vec<String> =
            arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
        if self.is_cut
            && let Some(last) = arguments.last_mut()
        {
            last.push('…');
        }
        arguments
    }
}

/// Whose child a process was, and what that ran when the process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// What it ran.
    pub image: Option<Arc<Image>>,
}

/// Something new of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It began as a copy of its parent.
    Fork(Birth),
    /// It runs another program.
    Exec(Birth, Arc<Image>),
    /// It ended.
    Exit {
        /// When, nanoseconds of `CLOCK_MONOTONIC`.
        time: u64,
        /// The process.
        id: Id,
    },
    /// It was there, in `/proc`, whose times are coarse.
    Found {
        /// The process.
        id: Id,
        /// Its parent's number.
        parent: u32,
        /// Its number in its own pid namespace.
        inner: u32,
        /// What it runs.
        image: Arc<Image>,
    },
}

/// What the kernel tells of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Birth {
    /// When, nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The process.
    pub id: Id,
    /// Its parent.
    pub parent: Id,
    /// Its number in its own pid namespace; a container's first process has 1.
    pub inner: u32,
}

/// News, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What is new.
    pub news: Vec<News>,
    /// All that happened before this moment has been told; `None` where that is not known.
    pub fetched: Option<u64>,
    /// Some was lost: what is known may be wrong.
    pub lost: bool,
}

/// What is known of a process at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// What it ran then.
    pub image: Option<&'a Image>,
    /// Its parent, that one's, and so on to a container's first process.
    pub parents: &'a [Ancestor],
}

#[derive(Debug)]
struct Entry {
    /// Oldest first, each with the moment from which on it ran.
    images: Vec<(u64, Arc<Image>)>,
    parents: Vec<Ancestor>,
    inner: u32,
    /// Its start is the kernel's, not that of `/proc`.
    is_exact: bool,
}

impl Entry {
    fn image(&self, at: u64) -> Option<&Arc<Image>> {
        self.images.iter().rev().find(|(since, _)| *since <= at).map(|(_, image)| image)
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Processes {
    known: BTreeMap<Id, Entry>,
    /// The ended, in the order of their ends.
    ended: VecDeque<(u64, Id)>,
    fetched: Option<u64>,
}

impl Processes {
    /// Takes news; returns how many processes found no room.
    pub fn take(&mut self, batch: Batch, now: u64) -> u64 {
        let mut left_out = 0;
        for news in batch.news {
            left_out += u64::from(!self.take_one(news));
        }
        if batch.lost {
            // Whom it was about nobody knows: it may have been anyone.
            self.known.clear();
            self.ended.clear();
        }
        self.fetched = self.fetched.max(batch.fetched);
        while self.ended.front().is_some_and(|(ended, _)| ended.saturating_add(GRACE) <= now) {
            self.forget_oldest();
        }
        left_out
    }

    /// Whether news of what happened before this moment may still come.
    #[must_use]
    pub fn is_behind(&self, time: u64) -> bool {
        self.fetched.is_some_and(|fetched| fetched < time)
    }

    /// What is known of a process at a moment.
    #[must_use]
    pub fn at(&self, id: Id, time: u64) -> Option<Known<'_>> {
        let entry = self.known.get(&self.find(id)?)?;
        let image = entry.image(time).map(AsRef::as_ref);
        Some(Known { image, parents: &entry.parents })
    }

    /// Processes that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// `false` when there was no room.
    fn take_one(&mut self, news: News) -> bool {
        match news {
            News::Fork(Birth { time, id, parent, inner }) => {
                let image = self.find(parent).and_then(|parent| self.known.get(&parent));
                let image = image.and_then(|parent| parent.image(time)).cloned();
                let images = image.into_iter().map(|image| (time, image)).collect();
                let parents = self.parents(parent, time);
                self.insert(id, Entry { images, parents, inner, is_exact: true })
            }
            News::Exec(Birth { time, id, parent, inner }, image) => {
                if let Some(entry) = self.entry(id) {
                    entry.inner = inner;
                    entry.images.push((time, image));
                    if entry.images.len() > IMAGES {
                        entry.images.remove(0);
                    }
                    return true;
                }
                let (images, parents) = (vec![(time, image)], self.parents(parent, time));
                self.insert(id, Entry { images, parents, inner, is_exact: true })
            }
            News::Exit { time, id } => {
                if self.entry(id).is_some() {
                    self.ended.push_back((time, id));
                }
                true
            }
            News::Found { id, parent, inner, image } => self.found(id, parent, inner, image),
        }
    }

    /// What the kernel has told is newer than what `/proc` has shown.
    fn found(&mut self, id: Id, parent: u32, inner: u32, image: Arc<Image>) -> bool {
        if let Some(key) = self.near(id, |_| true) {
            let entry = self.known.get_mut(&key);
            if let Some(entry) = entry.filter(|entry| entry.images.is_empty()) {
                entry.images.push((0, image));
            }
            return true;
        }
        let of_number =
            Id { pid: parent, start_time: 0 }..=Id { pid: parent, start_time: u64::MAX };
        let parent = self
            .known
            .range(of_number)
            .next_back()
            .map_or(Id { pid: parent, start_time: u64::MAX }, |(parent, _)| *parent);
        let (images, parents) = (vec![(0, image)], self.parents(parent, u64::MAX));
        self.insert(id, Entry { images, parents, inner, is_exact: false })
    }

    /// Where a process is that the kernel tells of; what `/proc` has shown of it is found by its start in
    /// coarse steps.
    fn find(&self, id: Id) -> Option<Id> {
        if self.known.contains_key(&id) {
            return Some(id);
        }
        self.near(id, |entry| !entry.is_exact)
    }

    /// Where a process is whose start is only nearly that.
    fn near(&self, id: Id, may_be: impl Fn(&Entry) -> bool) -> Option<Id> {
        let Id { pid, start_time } = id;
        if start_time == 0 {
            return None;
        }
        let from = Id { pid, start_time: start_time.saturating_sub(SLACK) };
        let to = Id { pid, start_time: start_time.saturating_add(SLACK) };
        let mut found = self.known.range(from..=to).filter(|(_, entry)| may_be(entry));
        found.next().map(|(found, _)| *found)
    }

    /// The entry of a process that the kernel tells of, which knows its start exactly.
    fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        let key = self.find(id)?;
        if key != id
            && let Some(mut entry) = self.known.remove(&key)
        {
            entry.is_exact = true;
            self.known.insert(id, entry);
        }
        self.known.get_mut(&id)
    }

    /// The parents of a child of this process.
    fn parents(&self, parent: Id, time: u64) -> Vec<Ancestor> {
        if parent.pid == 0 {
            return Vec::new();
        }
        let entry = self.find(parent).and_then(|parent| self.known.get(&parent));
        let image = entry.and_then(|entry| entry.image(time)).cloned();
        let mut parents = vec![Ancestor { pid: parent.pid, image }];
        // Beyond a container's first process is who started the container, not the process.
        if let Some(entry) = entry.filter(|entry| entry.inner != 1) {
            parents.extend(entry.parents.iter().take(PARENTS - 1).cloned());
        }
        parents
    }

    fn insert(&mut self, id: Id, entry: Entry) -> bool {
        while self.known.len() >= CAPACITY {
            if !self.forget_oldest() {
                return false;
            }
        }
        self.known.insert(id, entry);
        true
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = self.ended.pop_front();
        oldest.map(|(_, id)| self.known.remove(&id)).is_some()
    }
}

#[cfg(test)]
#[path = "processes/tests.rs"]
mod tests;
