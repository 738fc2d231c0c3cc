//! Fewer states and fewer symbols, the same machine.

use std::collections::HashMap;

use super::automaton::Machine;

/// The smallest machine that does the same: states that no continuation tells apart are merged, by
/// splitting blocks of states until no symbol leads from one block into two (J. Hopcroft, 1971; the
/// simpler way of Moore takes as many rounds over all states as the longest pattern has bytes).
/// State 0 stays state 0.
pub(super) fn minimise(machine: &Machine) -> Machine {
    // Columns first: there are a few dozen classes, not 256 symbols.
    let (_, representatives) = symbol_classes(machine);
    let mut partition = Partition::by(&machine.accepts);
    let columns: Vec<Inverse> =
        representatives.iter().map(|&symbol| Inverse::of(machine, symbol)).collect();
    let mut waiting: Vec<usize> = (0..partition.blocks.len()).collect();
    let mut waits = vec![true; partition.blocks.len()];
    while let Some(splitter) = waiting.pop() {
        if let Some(flag) = waits.get_mut(splitter) {
            *flag = false;
        }
        let members = partition.blocks.get(splitter).cloned().unwrap_or_default();
        for column in &columns {
            let arriving = members.iter().flat_map(|&state| column.sources_of(state).iter());
            for (old, new) in partition.split(arriving) {
                waits.push(false);
                // Whoever waits goes on waiting as both halves; otherwise the smaller one does.
                let size = |block: usize| partition.blocks.get(block).map_or(0, Vec::len);
                let is_waiting = waits.get(old).copied().unwrap_or(false);
                let next = if is_waiting || size(new) <= size(old) { new } else { old };
                if let Some(flag) = waits.get_mut(next) {
                    *flag = true;
                }
                waiting.push(next);
            }
        }
    }
    let blocks = number(partition.block_of.iter().copied());
    let count = blocks.iter().max().map_or(0, |&highest| highest as usize + 1);
    merge(machine, &blocks, count)
}

/// States in disjoint blocks.
struct Partition {
    /// The states of each block.
    blocks: Vec<Vec<u32>>,
    /// The block of each state.
    block_of: Vec<usize>,
}

impl Partition {
    /// One block for all states of equal key.
    fn by(keys: &[u64]) -> Self {
        let block_of: Vec<usize> =
            number(keys.iter().copied()).into_iter().map(|block| block as usize).collect();
        let mut blocks = vec![Vec::new(); block_of.iter().max().map_or(0, |&last| last + 1)];
        for (state, &block) in block_of.iter().enumerate() {
            if let Some(members) = blocks.get_mut(block) {
                members.push(state as u32);
            }
        }
        Self { blocks, block_of }
    }

    /// Takes these states, each given once, out of their blocks, unless they are all of one; returns
    /// the pairs of what is left and what was taken out.
    fn split<'a>(&mut self, states: impl Iterator<Item = &'a u32>) -> Vec<(usize, usize)> {
        let mut touched: HashMap<usize, Vec<u32>> = HashMap::new();
        for &state in states {
            if let Some(&block) = self.block_of.get(state as usize) {
                touched.entry(block).or_default().push(state);
            }
        }
        let mut pairs = Vec::new();
        for (old, taken) in touched {
            let new = self.blocks.len();
            let Some(members) = self.blocks.get_mut(old) else { continue };
            if taken.len() == members.len() {
                continue;
            }
            for &state in &taken {
                if let Some(block) = self.block_of.get_mut(state as usize) {
                    *block = new;
                }
            }
            members.retain(|&state| self.block_of.get(state as usize) == Some(&old));
            self.blocks.push(taken);
            pairs.push((old, new));
        }
        pairs
    }
}

/// From where one symbol leads into each state.
struct Inverse {
    /// Where each state's sources begin; one entry more than states.
    starts: Vec<usize>,
    sources: Vec<u32>,
}

impl Inverse {
    fn of(machine: &Machine, symbol: usize) -> Self {
        let targets = machine.next.iter().map(|row| row.get(symbol).copied().unwrap_or(0));
        let mut pairs: Vec<(u32, u32)> = targets.zip(0..).collect();
        pairs.sort_unstable();
        let mut starts = Vec::with_capacity(machine.states() + 1);
        for (at, &(target, _)) in pairs.iter().enumerate() {
            while starts.len() <= target as usize {
                starts.push(at);
            }
        }
        starts.resize(machine.states() + 1, pairs.len());
        Self { starts, sources: pairs.into_iter().map(|(_, source)| source).collect() }
    }

    fn sources_of(&self, state: u32) -> &[u32] {
        let state = state as usize;
        let ends = (self.starts.get(state), self.starts.get(state + 1));
        let (Some(&from), Some(&to)) = ends else { return &[] };
        self.sources.get(from..to).unwrap_or(&[])
    }
}

/// Numbers keys in the order of their first appearance.
fn number<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> Vec<u32> {
    let mut known = HashMap::new();
    keys.map(|key| {
        let next = known.len() as u32;
        *known.entry(key).or_insert(next)
    })
    .collect()
}

fn merge(machine: &Machine, blocks: &[u32], count: usize) -> Machine {
    let mut merged =
        Machine { next: Vec::with_capacity(count), accepts: Vec::with_capacity(count) };
    for ((row, &tokens), &block) in machine.next.iter().zip(&machine.accepts).zip(blocks) {
        // Blocks are numbered by first appearance, so the next new one is the next row.
        if block as usize == merged.next.len() {
            let to_block = |&target: &u32| blocks.get(target as usize).copied().unwrap_or(0);
            merged.next.push(row.iter().map(to_block).collect());
            merged.accepts.push(tokens);
        }
    }
    merged
}

/// The class of every symbol, and a symbol of each class. Symbols are of one class when no state
/// tells them apart; the first symbol's class is 0.
pub(super) fn symbol_classes(machine: &Machine) -> (Vec<usize>, Vec<usize>) {
    let symbols = machine.next.first().map_or(0, Vec::len);
    let mut representatives = Vec::new();
    let mut known = HashMap::new();
    let mut classes = Vec::with_capacity(symbols);
    for symbol in 0..symbols {
        let column: Vec<u32> =
            machine.next.iter().filter_map(|row| row.get(symbol).copied()).collect();
        let class = *known.entry(column).or_insert_with(|| {
            representatives.push(symbol);
            representatives.len() - 1
        });
        classes.push(class);
    }
    (classes, representatives)
}
