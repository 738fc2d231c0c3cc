//! What userspace needs and the kernel has not: aya's `Pod` for what goes into maps and comes out of
//! them, and room on the heap for what no stack should hold. The only `unsafe` of this crate.

extern crate alloc;

use alloc::boxed::Box;

use aya::Pod;

use crate::signature::Signatures;

impl Signatures {
    /// An empty set, made where it stays: a megabyte is no value to pass over the stack.
    #[must_use]
    pub fn boxed() -> Box<Self> {
        // SAFETY: integers and arrays of them, of which all-zero is a value.
        unsafe { Box::new_zeroed().assume_init() }
    }
}

macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        // SAFETY: `repr(C)`, integers and arrays of them only, and no implicit padding (each type's
        // size is asserted beside its definition), so every byte pattern is a value.
        $(unsafe impl Pod for $type {})+
    };
}

pod!(
    crate::config::Config,
    crate::config::OwnerSlot,
    crate::flow::Flow,
    crate::learn::FqdnEntry,
    crate::learn::Learned,
    crate::learn::LearnedKey,
    crate::learn::NameRuleKey,
    crate::names::NameSlot,
    crate::policy::Binding,
    crate::policy::PolicyTable,
    crate::policy::PrefixKey,
    crate::policy::PrefixRules,
    crate::policy::WorkloadKey,
    crate::wire::Wire,
    Signatures,
);
