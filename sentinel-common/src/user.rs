//! aya's `Pod` for what userspace puts into maps and takes out of them. The only `unsafe` here.

use aya::Pod;

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
    crate::policy::PrefixKey,
    crate::policy::PrefixRules,
    crate::signature::Signatures,
);
