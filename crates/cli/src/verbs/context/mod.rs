//! `context …`.

mod carry;
mod list;
mod make;

use std::collections::BTreeMap;

pub(crate) use carry::{export, import};
pub(crate) use list::{inspect, list, show};
pub(crate) use make::{create, remove, update, use_it};

use super::Context;
use crate::{
    contexts::{DEFAULT, Material, Meta, Store},
    error::{Error, Result},
    flags::{FORMAT, FORMAT_TABLE, Flag, list as list_flag, switch, text},
    format::quote,
};

const DESCRIPTION: Flag = text("description", "Description of the context");
const DOCKER: Flag = list_flag("docker", "set the docker endpoint")
    .value("stringToString", pairs_are_well_formed)
    .default("[]");

/// Flags of `context create`.
pub(crate) const CREATE: &[Flag] = &[
    DESCRIPTION,
    DOCKER,
    text("from", "create context from a named context"),
];
/// Flags of `context update`.
pub(crate) const UPDATE: &[Flag] = &[DESCRIPTION, DOCKER];
/// Flags of `context ls`.
pub(crate) const LS: &[Flag] = &[
    FORMAT_TABLE,
    switch("quiet", "Only show context names").short('q'),
];
/// Flags of `context inspect`.
pub(crate) const INSPECT: &[Flag] = &[FORMAT];
/// Flags of `context rm`.
pub(crate) const RM: &[Flag] =
    &[switch("force", "Force the removal of a context in use").short('f')];

fn store(context: &Context) -> Store {
    Store::new(context.config.directory())
}

/// What the context `name` says, with its certificates; `default` too.
fn get(context: &Context, name: &str) -> Result<(Meta, Material)> {
    if name == DEFAULT {
        let mut meta = Meta::new(DEFAULT);
        meta.lead_to(&context.chosen.default_host, false);
        return Ok((meta, Material::default()));
    }
    let store = store(context);
    Ok((store.get(name)?, store.material(name)?))
}

/// What a new context's name must be.
fn check_new(store: &Store, name: &str) -> Result {
    if let Some(text) = crate::contexts::refusal(name) {
        return Err(Error::msg(text));
    }
    if store.has(name) {
        return Err(Error::msg(format!(
            "context {} already exists",
            quote(name)
        )));
    }
    Ok(())
}

fn pairs_are_well_formed(value: &str) -> std::result::Result<(), String> {
    pairs(value).map(drop)
}

/// `a=b,"c=d,e"`: pairs in a line of comma-separated values.
fn pairs(value: &str) -> std::result::Result<BTreeMap<String, String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => {
                if let Some(field) = fields.last_mut() {
                    field.push(c);
                }
            }
        }
    }
    fields
        .iter()
        .map(|field| {
            let (name, value) = field
                .split_once('=')
                .ok_or_else(|| format!("{field} must be formatted as key=value"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_may_be_quoted() {
        let read = pairs(r#"host=tcp://h,"ca=a,b""#).unwrap();
        assert_eq!((&*read["host"], &*read["ca"]), ("tcp://h", "a,b"));
        assert_eq!(pairs("x").unwrap_err(), "x must be formatted as key=value");
    }
}
