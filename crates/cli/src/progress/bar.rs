//! The bar.

use types::image::ProgressDetail;

use crate::format::size::human;

/// Half the percentage, the width of a full bar.
const FULL: u64 = 50;

/// Amounts as a bar and figures, as much as `width` columns have room for.
#[expect(clippy::cast_possible_wrap, reason = "amounts of bytes")]
pub(crate) fn draw(detail: &ProgressDetail, width: usize) -> String {
    let current = detail.current.unwrap_or(0);
    let total = detail.total.unwrap_or(0);
    if current == 0 && total == 0 {
        return String::new();
    }
    let now = human(current as i64);
    if total == 0 {
        return format!("{now:>8}");
    }
    let mut out = String::new();
    if width > 110 {
        let done = (current.saturating_mul(FULL) / total).min(FULL);
        let full = "=".repeat(usize::try_from(done).unwrap_or(0));
        let rest = " ".repeat(usize::try_from(FULL - done).unwrap_or(0));
        out.push_str(&format!("[{full}>{rest}] "));
    }
    out.push_str(&format!("{now:>8}"));
    if current <= total {
        out.push_str(&format!("/{}", human(total as i64)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(current: u64, total: u64) -> ProgressDetail {
        ProgressDetail {
            current: Some(current),
            total: Some(total),
        }
    }

    #[test]
    fn bars_fill() {
        assert_eq!(draw(&ProgressDetail::default(), 200), "");
        assert_eq!(draw(&detail(500, 1000), 100), "    500B/1kB");
        let bar = draw(&detail(500, 1000), 200);
        assert_eq!(
            bar,
            format!("[{}>{}]     500B/1kB", "=".repeat(25), " ".repeat(25))
        );
        assert_eq!(draw(&detail(500, 0), 200), "    500B");
        assert!(draw(&detail(2000, 1000), 200).ends_with("]      2kB"));
    }
}
