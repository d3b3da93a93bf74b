//! `--ulimit nofile=1024:2048`.

use types::container::Ulimit;

const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `name=soft[:hard]`.
pub(crate) fn parse(text: &str) -> Result<Ulimit, String> {
    let Some((name, limits)) = text
        .split_once('=')
        .filter(|(n, l)| !n.is_empty() && !l.is_empty())
    else {
        return Err(format!("invalid ulimit argument: {text}"));
    };
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |s: &str| {
        s.parse::<i64>().map_err(|_| {
            format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                crate::format::quote(s)
            )
        })
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    if hard.contains(':') {
        return Err(format!(
            "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        ));
    }
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit {
        name: name.to_owned(),
        hard,
        soft,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let u = parse("nofile=10:20").unwrap();
        assert_eq!((u.soft, u.hard), (10, 20));
        assert_eq!(parse("core=-1").unwrap().hard, -1);
        assert_eq!(parse("x").unwrap_err(), "invalid ulimit argument: x");
        assert_eq!(parse("x=1").unwrap_err(), "invalid ulimit type: x");
        assert!(parse("nofile=3:2").is_err() && parse("nofile=1:2:3").is_err());
    }
}
