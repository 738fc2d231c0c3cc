//! libFuzzer's entry: the target is named by `SENTINEL_FUZZ_TARGET`, the rest are libFuzzer's own
//! arguments. Built by `cargo xtask fuzz`, with coverage counters in every crate.
#![no_main]

use std::sync::OnceLock;

use sentinel_fuzz::Target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("SENTINEL_FUZZ_TARGET").unwrap_or_default();
        if let Some(target) = sentinel_fuzz::target(&name) {
            (target.prepare)();
            TARGET.get_or_init(|| target);
        } else {
            eprintln!("SENTINEL_FUZZ_TARGET={name:?} is no target: run `cargo xtask fuzz`");
            std::process::abort();
        }
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);
