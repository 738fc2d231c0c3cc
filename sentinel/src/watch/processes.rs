//! Every process that `/proc` shows, parents before their children.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use ::procfs::process::Process as Entry;

use super::procfs;
use crate::attribution::processes::{CAPACITY, Id, Image, News};
use crate::respond::namespace;

/// Lists them. Takes some 50 µs for each.
#[must_use]
pub fn list() -> Vec<News> {
    let mut found: Vec<(u64, News)> =
        namespace::processes().take(CAPACITY).filter_map(describe).collect();
    found.sort_by_key(|(start_time, _)| *start_time);
    let order: HashMap<u32, usize> =
        found.iter().enumerate().filter_map(|(at, (_, news))| Some((pid(news)?, at))).collect();
    // Within one step of the clock of `/proc` a child may come before its parent.
    let mut sorted: Vec<(usize, News)> = found
        .into_iter()
        .enumerate()
        .map(|(at, (_, news))| {
            let parent = parent(&news).and_then(|parent| order.get(&parent)).copied();
            (at.max(parent.map_or(0, |parent| parent + 1)), news)
        })
        .collect();
    sorted.sort_by_key(|(at, _)| *at);
    sorted.into_iter().map(|(_, news)| news).collect()
}

const fn pid(news: &News) -> Option<u32> {
    match news {
        News::Found { id, .. } => Some(id.pid),
        _ => None,
    }
}

const fn parent(news: &News) -> Option<u32> {
    match news {
        News::Found { parent, .. } => Some(*parent),
        _ => None,
    }
}

fn describe(pid: u32) -> Option<(u64, News)> {
    let process = procfs::snapshot(pid, 0).ok()?;
    let entry = Entry::new(i32::try_from(pid).ok()?).ok()?;
    let inner = entry.status().ok().and_then(|status| status.nspid?.last().copied());
    let inner = inner.and_then(|inner| u32::try_from(inner).ok()).unwrap_or_default();
    let file = std::fs::metadata(format!("/proc/{pid}/exe")).ok();
    let mut arguments = process.cmdline.join("\0").into_bytes();
    if !arguments.is_empty() {
        arguments.push(0);
    }
    let image = Image {
        exe: process.exe,
        inode: file.as_ref().map_or(0, MetadataExt::ino),
        device: file
            .as_ref()
            .map_or((0, 0), |file| (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()))),
        deleted: process.deleted,
        arguments,
        is_cut: false,
    };
    let id = Id { pid, start_time: process.start_time };
    let news = News::Found { id, parent: process.ppid, inner, image: Arc::new(image) };
    Some((process.start_time, news))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::processes::{Batch, Processes};

    #[test]
    fn this_process_is_found_with_its_parents() {
        let mut table = Processes::default();
        table.take(Batch { news: list(), ..Batch::default() }, 1);
        let own = procfs::snapshot(std::process::id(), 0).unwrap();
        let id = Id { pid: own.pid, start_time: own.start_time };
        let known = table.at(id, 1).unwrap();
        let image = known.image.unwrap();
        assert_eq!((image.exe.as_ref(), image.cmdline()), (own.exe.as_ref(), own.cmdline.clone()));
        let parent = known.parents.first().unwrap();
        assert_eq!(parent.pid, own.ppid);
        assert!(parent.image.is_some() || own.ppid == 0);
    }
}
