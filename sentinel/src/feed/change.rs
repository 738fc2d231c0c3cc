//! What differs between two sorted lists: the kernel is told no more than that.

use std::cmp::Ordering;

/// One difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a, K> {
    /// The key is to have this value: it is new, or had another.
    Write(&'a K, u16),
    /// The key is to be taken out.
    Remove(&'a K),
}

/// What makes `old` into `new`, in the order of the keys. Both are sorted by key and name each once.
pub fn changes<'a, K: Ord>(
    old: &'a [(K, u16)],
    new: &'a [(K, u16)],
) -> impl Iterator<Item = Change<'a, K>> {
    let mut old = old.iter().peekable();
    let mut new = new.iter().peekable();
    std::iter::from_fn(move || {
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some((before, _)), Some((after, _))) => before.cmp(after),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            match order {
                Ordering::Less => return old.next().map(|(key, _)| Change::Remove(key)),
                Ordering::Greater => {
                    return new.next().map(|(key, value)| Change::Write(key, *value));
                }
                Ordering::Equal => {
                    if let (Some((_, before)), Some((key, value))) = (old.next(), new.next())
                        && before != value
                    {
                        return Some(Change::Write(key, *value));
                    }
                }
            }
        }
    })
}
