//! The kept inputs, and changed ones of them.
#![allow(clippy::unwrap_used, reason = "tests")]

use fuzz::{TARGETS, corpus};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Changed inputs made of each kept one: as many as a test run has time for.
const CHANGED: u32 = 40;

/// `input` with bytes changed, removed, repeated, or taken from `other`.
fn changed(input: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..=bytes.len());
        let to = rng.random_range(at..=bytes.len().min(at + 16));
        match rng.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = rng.random(),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let part = bytes[at..to].to_vec();
                drop(bytes.splice(at..at, part));
            }
            _ if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let end = other.len().min(from + rng.random_range(1..64));
                drop(bytes.splice(at..to, other[from..end].iter().copied()));
            }
            _ => {}
        }
    }
    bytes
}

/// Every target, told apart by its message; the seed is fixed, so that a failure comes again.
#[test]
fn kept_and_changed_inputs() {
    for (name, target) in TARGETS {
        let inputs = corpus::read(name).unwrap();
        assert!(!inputs.is_empty(), "no inputs for {name}");
        let mut rng = StdRng::seed_from_u64(4);
        for (number, input) in inputs.iter().enumerate() {
            target(input);
            for _ in 0..CHANGED {
                let other = &inputs[rng.random_range(0..inputs.len())];
                let bytes = changed(input, other, &mut rng);
                let outcome = std::panic::catch_unwind(|| target(&bytes));
                assert!(
                    outcome.is_ok(),
                    "{name}, of input {number}: {:?}",
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    }
}
