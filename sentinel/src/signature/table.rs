//! The machine laid out as the map value that the reader walks.

use sentinel_common::limits::SYMBOL_CLASSES;
use sentinel_common::signature::{ACCEPTS, Rule, Signatures};

use super::automaton::Machine;
use super::budget::Bound;
use super::error::SignatureError;
use super::minimise::symbol_classes;

/// Lays out a machine and its rules; also tells the number of symbol classes.
pub(super) fn lay_out(
    machine: &Machine,
    rules: &[Rule],
) -> Result<(Box<Signatures>, usize), SignatureError> {
    let (classes, representatives) = symbol_classes(machine);
    Bound::States.check(machine.states())?;
    Bound::Classes.check(representatives.len())?;
    Bound::Rules.check(rules.len())?;
    let mut table = Signatures::boxed();
    table.rules_used = rules.len() as u32;
    for (slot, rule) in table.rules.iter_mut().zip(rules) {
        *slot = *rule;
    }
    for (slot, &class) in table.symbol_class.iter_mut().zip(&classes) {
        *slot = class as u8;
    }
    for (slot, &tokens) in table.accepts.iter_mut().zip(&machine.accepts) {
        *slot = tokens;
    }
    for (cells, row) in table.next.chunks_exact_mut(SYMBOL_CLASSES).zip(&machine.next) {
        for (cell, &symbol) in cells.iter_mut().zip(&representatives) {
            let target = row.get(symbol).copied().unwrap_or(0);
            let accepts = machine.accepts.get(target as usize).is_some_and(|&tokens| tokens != 0);
            *cell = target as u16 | if accepts { ACCEPTS } else { 0 };
        }
    }
    Ok((table, representatives.len()))
}
