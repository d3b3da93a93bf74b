//! Floating-point numbers in the notations of Go's strconv.

/// Formats `value` by the verb `e E f g G b x X`; no precision means as few digits as tell the
/// number apart from all others. Neither JSON nor constants have infinities or NaN.
pub(crate) fn format_float(value: f64, verb: u8, precision: Option<usize>) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let value = value.abs();
    let body = match verb {
        b'f' => fixed(value, precision),
        b'g' => general(value, 'e', precision),
        b'G' => general(value, 'E', precision),
        b'b' => binary(value),
        b'x' => hexadecimal(value, precision),
        b'X' => hexadecimal(value, precision).to_uppercase(),
        verb => scientific(&Digits::new(value, precision), precision, char::from(verb)),
    };
    format!("{sign}{body}")
}

/// The significant decimal digits of a number, as `0.digits × 10^point`.
struct Digits {
    digits: String,
    point: i32,
}

/// No float has more significant digits; what is asked for beyond is zeros.
const MAX_DIGITS: usize = 1100;

impl Digits {
    /// With `decimals` digits after the first one, or as few as needed.
    fn new(value: f64, decimals: Option<usize>) -> Self {
        let text = match decimals {
            Some(count) => format!("{value:.*e}", count.min(MAX_DIGITS)),
            None => format!("{value:e}"),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        Self {
            digits: mantissa.replace('.', ""),
            point: exponent.parse::<i32>().unwrap_or(0) + 1,
        }
    }
}

fn zeros(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n('0', count));
}

fn fixed(value: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        return format!("{value}");
    };
    let kept = precision.min(MAX_DIGITS);
    let mut out = format!("{value:.kept$}");
    zeros(&mut out, precision - kept);
    out
}

fn scientific(number: &Digits, precision: Option<usize>, letter: char) -> String {
    let (first, rest) = number.digits.split_at(1);
    let mut out = String::from(first);
    let count = precision.unwrap_or(rest.len());
    if count > 0 {
        out.push('.');
        out.push_str(&rest[..count.min(rest.len())]);
        zeros(&mut out, count.saturating_sub(rest.len()));
    }
    let exponent = number.point - 1;
    let sign = if exponent < 0 { '-' } else { '+' };
    out.push_str(&format!("{letter}{sign}{:02}", exponent.abs()));
    out
}

/// `%g`: scientific for exponents below -4 and from the number of digits (6 if none is given)
/// on, plain otherwise; without trailing zeros.
fn general(value: f64, letter: char, precision: Option<usize>) -> String {
    let wanted = precision.map(|count| count.max(1));
    let mut number = Digits::new(value, wanted.map(|count| count - 1));
    let trimmed = number.digits.trim_end_matches('0').len();
    number.digits.truncate(trimmed.max(1));
    let count = number.digits.len();
    let exponent = if value == 0.0 { 0 } else { number.point - 1 };
    let threshold = match wanted {
        None => 6,
        Some(wanted) if wanted > count && count as i64 >= i64::from(number.point) => count,
        Some(wanted) => wanted,
    };
    if exponent < -4 || i64::from(exponent) >= threshold as i64 {
        return scientific(&number, Some(count - 1), letter);
    }
    let decimals = i64::try_from(count).unwrap_or(0) - i64::from(number.point);
    fixed_digits(&number, usize::try_from(decimals).unwrap_or(0))
}

/// `digits` in plain notation with `decimals` digits after the point.
fn fixed_digits(number: &Digits, decimals: usize) -> String {
    let mut out = String::new();
    let point = usize::try_from(number.point).unwrap_or(0);
    if point == 0 {
        out.push('0');
    } else {
        let whole = point.min(number.digits.len());
        out.push_str(&number.digits[..whole]);
        zeros(&mut out, point - whole);
    }
    if decimals > 0 {
        out.push('.');
        let leading = usize::try_from(-number.point).unwrap_or(0);
        zeros(&mut out, leading);
        out.push_str(number.digits.get(point..).unwrap_or(""));
    }
    out
}

/// Mantissa and binary exponent such that value = mantissa × 2^exponent.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) {
        0 => (fraction, -1074),
        exponent => (fraction | (1 << 52), exponent - 1075),
    }
}

fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    format!("{mantissa}p{exponent:+}")
}

fn hexadecimal(value: f64, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(value);
    if mantissa == 0 {
        exponent = 0;
    } else {
        let shift = mantissa.leading_zeros() - 11;
        mantissa <<= shift;
        exponent += 52 - i32::try_from(shift).unwrap_or(0);
    }
    if let Some(digits) = precision.filter(|&digits| digits < 13) {
        let dropped = 52 - 4 * digits as u32;
        let half = 1u64 << (dropped - 1);
        let low = mantissa & ((1 << dropped) - 1);
        mantissa >>= dropped;
        if low > half || (low == half && mantissa & 1 == 1) {
            mantissa += 1;
        }
        mantissa <<= dropped;
        if mantissa >> 53 == 1 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut fraction = format!("{:013x}", mantissa & ((1 << 52) - 1));
    match precision {
        None => fraction.truncate(fraction.trim_end_matches('0').len()),
        Some(digits) if digits < 13 => fraction.truncate(digits),
        Some(digits) => zeros(&mut fraction, digits - 13),
    }
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "0x{}{point}{fraction}p{sign}{:02}",
        mantissa >> 52,
        exponent.abs()
    )
}
