//! Names that containers get when their user gives none, and what a name may look like.

use rand::seq::IndexedRandom;

const MOODS: &[&str] = &[
    "able", "amber", "brave", "bright", "brisk", "calm", "clear", "clever", "cosy", "daring",
    "deft", "eager", "early", "fair", "fleet", "fond", "frank", "gentle", "glad", "golden",
    "grand", "hardy", "honest", "humble", "keen", "kind", "lively", "lucid", "merry", "mild",
    "modest", "neat", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet", "ready",
    "robust", "serene", "sharp", "silent", "sleek", "snug", "solid", "sound", "spry", "steady",
    "sturdy", "sunny", "swift", "tidy", "trim", "trusty", "vivid", "warm", "wise", "witty",
];

const SHIPS: &[&str] = &[
    "anchor", "barge", "barque", "beacon", "bollard", "bosun", "brig", "buoy", "cabin", "canoe",
    "capstan", "clipper", "compass", "coracle", "crane", "cutter", "davit", "deck", "dinghy",
    "dory", "ferry", "fender", "fjord", "galley", "gull", "halyard", "harbour", "hawser", "helm",
    "hull", "island", "jetty", "jib", "kayak", "keel", "ketch", "lagoon", "lantern", "launch",
    "lugger", "mast", "mooring", "oar", "packet", "pilot", "pontoon", "porthole", "prow", "quay",
    "raft", "reef", "rigging", "rudder", "sail", "schooner", "sextant", "skiff", "sloop", "spar",
    "tender", "tide", "trawler", "tug", "winch", "yawl",
];

/// A random name of two words; after `attempt` clashes a number is added.
#[must_use]
pub fn generate(attempt: u32) -> String {
    let mut rng = rand::rng();
    let mood = MOODS.choose(&mut rng).unwrap_or(&"calm");
    let ship = SHIPS.choose(&mut rng).unwrap_or(&"tug");
    if attempt == 0 {
        format!("{mood}_{ship}")
    } else {
        format!("{mood}_{ship}{attempt}")
    }
}

/// Whether `name` may name a container or volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, as Docker has it.
#[must_use]
pub fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() >= 2
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// The characters a name may have, as Docker's error messages print them.
pub const ALLOWED: &str = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid() {
        for attempt in 0..50 {
            assert!(is_valid(&generate(attempt)));
        }
        assert!(!is_valid("a") && !is_valid("-ab") && !is_valid("a b") && is_valid("a.b-c_1"));
    }
}
