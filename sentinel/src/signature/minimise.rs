//! Fewer states and fewer symbols, the same machine.

use std::collections::HashMap;

use super::automaton::Machine;

/// The smallest machine that does the same: states that no continuation tells apart are merged, by
/// refining a partition until it stands (E. F. Moore, 1956). State 0 stays state 0.
pub(super) fn minimise(machine: &Machine) -> Machine {
    // Columns first: the refinement then compares a few dozen cells of a row, not 256.
    let (_, representatives) = symbol_classes(machine);
    let columns = |row: &Vec<u32>| -> Vec<u32> {
        representatives.iter().filter_map(|&symbol| row.get(symbol).copied()).collect()
    };
    let rows: Vec<Vec<u32>> = machine.next.iter().map(columns).collect();
    let mut blocks = number(machine.accepts.iter().map(|&tokens| vec![tokens]));
    let mut count = distinct(&blocks);
    loop {
        let block = |state: u32| blocks.get(state as usize).copied().unwrap_or(0);
        let refined = number(rows.iter().enumerate().map(|(state, row)| {
            let mut key = Vec::with_capacity(row.len() + 1);
            key.push(block(state as u32));
            key.extend(row.iter().map(|&target| block(target)));
            key
        }));
        let refined_count = distinct(&refined);
        blocks = refined;
        if refined_count == count {
            return merge(machine, &blocks, count);
        }
        count = refined_count;
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

fn distinct(blocks: &[u32]) -> usize {
    blocks.iter().max().map_or(0, |&highest| highest as usize + 1)
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
