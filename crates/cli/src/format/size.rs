//! Amounts of bytes.

pub(crate) use types::size::parse;

/// `digits` significant digits, without an exponent, as Go's `%.4g` for the sizes that occur.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent: i32 = scientific
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    let decimals = usize::try_from(i32::try_from(digits).unwrap_or(4) - 1 - exponent).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn scaled(bytes: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut value = bytes;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

const DECIMAL: &[&str] = &["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const BINARY: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Decimal units, four digits: `1.982MB`.
#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
pub(crate) fn human(bytes: i64) -> String {
    scaled(bytes as f64, 1000.0, DECIMAL, 4)
}

/// Decimal units, three digits: `1.98MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn human3(bytes: i64) -> String {
    scaled(bytes as f64, 1000.0, DECIMAL, 3)
}

/// Binary units, four digits: `23.54GiB`.
#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
pub(crate) fn binary(bytes: i64) -> String {
    scaled(bytes as f64, 1024.0, BINARY, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown() {
        assert_eq!(human3(1_982_000), "1.98MB");
        assert_eq!(human(1_982_345), "1.982MB");
        assert_eq!(human(0), "0B");
        assert_eq!(human3(123_456_789), "123MB");
        assert_eq!(binary(25_276_502_016), "23.54GiB");
    }
}
