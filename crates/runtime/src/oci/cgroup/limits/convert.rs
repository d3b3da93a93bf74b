//! Version 1's units in version 2's, as runc converts them: people compare.

use super::super::super::error::{Error, Result};

/// `cpu.shares` (2 to 262144, 1024 by default) as `cpu.weight` (1 to 10000, 100 by default): a
/// curve through all three points.
pub(in super::super) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[allow(clippy::cast_precision_loss)] // below 2^18
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 10000
            let weight = 10f64.powf(exponent).ceil() as u64;
            weight
        }
    }
}

/// A weight of block devices (10 to 1000) as `io.weight` (1 to 10000).
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9999 / 990
}

/// Version 1's swap is memory and swap together; version 2's is swap alone. `None`: leave it.
/// `-1` is no limit, of either.
pub(in super::super) fn swap(memory: i64, swap: i64) -> Result<Option<i64>> {
    let wrong = |problem: String| Err(Error::config("linux.resources.memory.swap", problem));
    match (memory, swap) {
        // Whoever lifts the limit of memory lifts that of both together.
        (..0, 0) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (_, ..0) => Ok(Some(-1)),
        (..=0, _) => wrong(format!(
            "{swap} bytes of memory and swap together need a limit of memory"
        )),
        (memory, swap) if swap < memory => wrong(format!(
            "is memory and swap together, so it must be at least memory.limit ({memory}), and is \
             {swap}"
        )),
        (memory, swap) => Ok(Some(swap - memory)),
    }
}

/// Processors or memory nodes as the kernel lists them: `0-3,7`, each once, in order.
pub(in super::super) fn list(text: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in text
        .trim()
        .split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
    {
        match part.split_once('-') {
            Some((a, b)) => {
                let (a, b): (u32, u32) = (a.trim().parse().ok()?, b.trim().parse().ok()?);
                // No machine has more, and nobody shall make us count to four thousand million.
                if b > 65_536 {
                    return None;
                }
                all.extend(a..=b);
            }
            None => all.push(part.parse().ok()?),
        }
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        // Minimum, default and maximum meet; the others are runc's values.
        for (shares, weight) in [
            (0, 1),
            (1, 1),
            (2, 1),
            (1024, 100),
            (262_144, 10_000),
            (1 << 40, 10_000),
            (512, 59),
            (2048, 174),
            (102, 17),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        let all: Vec<_> = (2..=262_144).step_by(97).map(weight_of_shares).collect();
        assert!(all.is_sorted());
        assert!(all.iter().all(|w| (1..=10_000).contains(w)));
    }

    #[test]
    fn block_weights() {
        assert_eq!(io_weight(10), 1);
        assert_eq!(io_weight(1000), 10_000);
        assert_eq!(io_weight(0), 1);
        assert_eq!(io_weight(500), 4950);
    }

    #[test]
    fn swap_is_without_memory_on_version_2() {
        assert_eq!(swap(100, 300).unwrap(), Some(200));
        assert_eq!(swap(100, 100).unwrap(), Some(0));
        assert_eq!(swap(100, -1).unwrap(), Some(-1));
        assert_eq!(swap(0, -1).unwrap(), Some(-1));
        assert_eq!(swap(-1, 0).unwrap(), Some(-1));
        assert_eq!(swap(100, 0).unwrap(), None);
        assert_eq!(swap(0, 0).unwrap(), None);
        assert_eq!(swap(-1, -1).unwrap(), Some(-1));
        for (m, s) in [(0, 100), (-1, 100), (200, 100)] {
            let e = swap(m, s).unwrap_err().to_string();
            assert!(e.contains("linux.resources.memory.swap"), "{e}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(list("0-2,7"), Some(vec![0, 1, 2, 7]));
        assert_eq!(list("1,0"), Some(vec![0, 1]));
        assert_eq!(list(""), Some(vec![]));
        assert_eq!(list("0-99999999"), None);
        assert_eq!(list("x"), None);
    }
}
