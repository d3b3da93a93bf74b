//! One program for all targets: `WHARF_FUZZ_TARGET` names the one.
#![no_main]

use std::sync::LazyLock;

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("WHARF_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target {name:?}: see crates/fuzz/src/targets.rs")).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
