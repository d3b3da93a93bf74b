//! Values of the form `type=local,dest=out`, a line of CSV as BuildKit reads them.

use crate::error::{Error, Result};

/// The fields of a line of CSV: quotes keep commas, two of them are one.
pub(crate) fn fields(text: &str) -> Result<Vec<String>> {
    let broken = || {
        Error::msg(format!(
            "ERROR: parse error in {text:?}: bare \" in a field"
        ))
    };
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        let mut field = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let (part, after) = quoted.split_once('"').ok_or_else(broken)?;
                field.push_str(part);
                match after.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        quoted = after;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(broken());
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
            if field.contains('"') {
                return Err(broken());
            }
        }
        all.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok(all),
        }
    }
}

/// The fields as names and values; `what` is the flag's name in the refusal of others.
pub(super) fn pairs(what: &str, text: &str) -> Result<Vec<(String, String)>> {
    fields(text)?
        .into_iter()
        .map(|field| match field.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_lowercase(), value.to_owned())),
            None => Err(Error::msg(format!(
                "ERROR: invalid {what}: invalid field '{field}' must be a key=value pair"
            ))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_csv() {
        assert_eq!(fields("a,b=c").unwrap(), ["a", "b=c"]);
        assert_eq!(
            fields("type=local,\"dest=a,\"\"b\"\"\",x").unwrap(),
            ["type=local", "dest=a,\"b\"", "x"]
        );
        assert!(fields("a\"b").is_err() && fields("\"a").is_err());
        assert_eq!(
            pairs("output", "x").unwrap_err().to_string(),
            "ERROR: invalid output: invalid field 'x' must be a key=value pair"
        );
    }
}
