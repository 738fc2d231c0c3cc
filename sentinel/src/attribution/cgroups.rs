//! Which path a cgroup id stands for: a bounded table, filled by walks of the tree.

use std::collections::{HashMap, VecDeque};

/// Cgroups remembered. A busy Kubernetes node has some thousands.
pub const CAPACITY: usize = 65_536;

/// Paths by id. The oldest entry goes when there is no room; a path that was not found is not
/// remembered, the next walk may find it.
#[derive(Debug, Default)]
pub struct Cgroups {
    paths: HashMap<u64, String>,
    order: VecDeque<u64>,
}

impl Cgroups {
    /// The path of this cgroup from the cgroup2 root, `/` being the root itself.
    #[must_use]
    pub fn path(&self, id: u64) -> Option<&str> {
        self.paths.get(&id).map(String::as_str)
    }

    /// Remembers a cgroup. Ids are inode numbers and may be given again: the newest path counts.
    pub fn insert(&mut self, id: u64, path: String) {
        if self.paths.insert(id, path).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.paths.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_outgrows_its_bound() {
        let mut cgroups = Cgroups::default();
        for id in 0..(CAPACITY as u64 + 10) {
            cgroups.insert(id, format!("/{id}"));
        }
        assert_eq!(cgroups.paths.len(), CAPACITY);
        assert_eq!(cgroups.path(3), None);
        assert_eq!(cgroups.path(CAPACITY as u64), Some("/65536"));
        cgroups.insert(20, "/new".to_owned());
        assert_eq!(cgroups.path(20), Some("/new"));
    }
}
