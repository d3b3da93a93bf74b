//! Query parameters, read as Docker reads them.

use std::collections::BTreeMap;

use crate::{backend::Filters, error::Refusal};

/// Decodes `%XX`, and `+` where `plus`; `None` when it is malformed or not UTF-8.
pub(crate) fn percent_decode(text: &str, plus: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (high, low) = (bytes.next()?, bytes.next()?);
                let digit = |b: u8| char::from(b).to_digit(16);
                out.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

/// The parameters of a request; the first of several with one name counts, unless all are asked
/// for.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        text.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((percent_decode(name, true)?, percent_decode(value, true)?))
            })
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| Refusal::bad(format!("invalid query: {text:?} is not escaped UTF-8")))
    }

    /// The value of `name`, empty when it is absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// The value of `name`, when it is there and not empty.
    pub(crate) fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name).to_owned()).filter(|value| !value.is_empty())
    }

    /// Every value of `name`.
    pub(crate) fn all<'a, 'b>(
        &'a self,
        name: &'b str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Everything is true but nothing, `0`, `no`, `false` and `none`.
    pub(crate) fn bool(&self, name: &str) -> bool {
        self.bool_or(name, false)
    }

    /// The same, with what holds when `name` is absent.
    pub(crate) fn bool_or(&self, name: &str, default: bool) -> bool {
        self.all(name).next().map_or(default, |value| {
            !matches!(
                value.trim().to_ascii_lowercase().as_str(),
                "" | "0" | "no" | "false" | "none"
            )
        })
    }

    /// A whole number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::bad(format!(
                    "invalid value {text:?} for {name}: it must be a number"
                ))
            }),
        }
    }

    /// A point in time; nanoseconds since the epoch.
    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.text(name) {
            "" => Ok(None),
            text => crate::time::parse(text).map(Some).ok_or_else(|| {
                Refusal::bad(format!(
                    "invalid value {text:?} for {name}: give seconds since the epoch, \
                     an RFC 3339 time or a duration such as 10m"
                ))
            }),
        }
    }

    /// `filters`, in either of its forms, with only the names `known`.
    pub(crate) fn filters(&self, known: &[&str]) -> Result<Filters, Refusal> {
        let text = self.text("filters");
        if text.is_empty() {
            return Ok(Filters::new());
        }
        let filters = parse_filters(text).ok_or_else(|| Refusal::bad("invalid filter"))?;
        match filters.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Refusal::bad(format!("invalid filter '{name}'"))),
            None => Ok(filters),
        }
    }

    /// Refuses `name` when it is set: it is known, and not supported yet.
    pub(crate) fn refuse(&self, name: &str) -> Result<(), Refusal> {
        match self.some(name) {
            None => Ok(()),
            Some(_) => Err(crate::fields::unsupported(&format!("the parameter {name}")).into()),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

fn parse_filters(text: &str) -> Option<Filters> {
    let parsed: Option<BTreeMap<String, Option<Values>>> = serde_json::from_str(text).ok()?;
    let names = parsed.unwrap_or_default().into_iter();
    let filters = names.map(|(name, values)| {
        let values = match values {
            Some(Values::List(list)) => list,
            Some(Values::Set(set)) => set.into_iter().filter(|v| v.1).map(|v| v.0).collect(),
            None => Vec::new(),
        };
        (name, values)
    });
    Some(filters.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_dockers() {
        let query =
            Query::parse("a=1&b=true&c=True&d=yes&e=x&f=&g&h=0&i=no&j=False&k=none").unwrap();
        for name in ["a", "b", "c", "d", "e"] {
            assert!(query.bool(name), "{name}");
        }
        for name in ["f", "g", "h", "i", "j", "k", "l"] {
            assert!(!query.bool(name), "{name}");
        }
        assert!(query.bool_or("l", true));
    }

    #[test]
    fn values_are_decoded_and_bad_ones_named() {
        let query = Query::parse("a=b%20c+d&n=x&n=2&%61b=1&t=soon").unwrap();
        assert_eq!(query.text("a"), "b c d");
        assert_eq!(query.text("ab"), "1");
        assert!(
            query
                .number::<u16>("n")
                .unwrap_err()
                .message
                .contains("for n")
        );
        assert!(query.time("t").unwrap_err().message.contains("for t"));
        assert!(Query::parse("a=%f").is_err() && Query::parse("a=%ff").is_err());
    }

    #[test]
    fn filters_have_two_forms() {
        let wanted = Filters::from([("label".into(), vec!["a=b".into()])]);
        for text in [
            r#"{"label":["a=b"]}"#,
            r#"{"label":{"a=b":true,"c":false}}"#,
        ] {
            let mut query = Query::default();
            query.0.push(("filters".into(), text.into()));
            assert_eq!(query.filters(&["label"]).unwrap(), wanted);
            let refusal = query.filters(&["name"]).unwrap_err();
            assert_eq!(refusal.message, "invalid filter 'label'");
        }
        for text in ["x", "[]", r#"{"a":1}"#, r#"{"a":[1]}"#] {
            let mut query = Query::default();
            query.0.push(("filters".into(), text.into()));
            assert!(query.filters(&["a"]).is_err(), "{text}");
        }
    }
}
