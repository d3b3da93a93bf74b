//! What a step depends on, as one digest.

use image::Digest;
use serde_json::{Value, json};

/// Of this file's form: another one finds nothing of what was kept under the old.
const VERSION: u32 = 2;

/// The key of a step: `op` with all its inputs, on top of layers `base`.
pub(crate) fn key(op: &str, base: &[String], inputs: Value, epoch: Option<i64>) -> Digest {
    let all = json!({
        "version": VERSION,
        "op": op,
        "base": base,
        "inputs": inputs,
        "epoch": epoch,
    });
    // A map's keys are in order: the same inputs have the same text.
    Digest::of(all.to_string().as_bytes())
}
