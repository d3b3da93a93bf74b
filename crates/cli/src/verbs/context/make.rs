//! `context create`, `update`, `rm`, `use`.

use std::collections::BTreeMap;

use serde_json::Value;
use types::boolean;

use super::{Context, check_new, get, pairs, store};
use crate::{
    contexts::{DEFAULT, Material, Meta},
    error::{Error, Result},
    flags::Matches,
    format::{output, quote},
};

/// `docker context create`.
pub(crate) async fn create(context: &Context, m: Matches) -> Result {
    let (name, store) = (&m.args[0], store(context));
    check_new(&store, name)?;
    let (from, docker) = (m.text("from"), m.all("docker"));
    let (mut meta, material) = if from.is_empty() && !docker.is_empty() {
        let mut meta = Meta::new(name);
        let material = endpoint(context, &mut meta, &docker)?;
        (meta, material)
    } else if !docker.is_empty() {
        return Err(Error::msg("cannot use --docker flag when --from is set"));
    } else {
        let from = if from.is_empty() {
            &context.chosen.name
        } else {
            &from
        };
        let (mut meta, material) = get(context, from)?;
        name.clone_into(&mut meta.name);
        if from == DEFAULT {
            meta.describe(super::list::DEFAULT_ABOUT);
        }
        (meta, material)
    };
    if let Some(text) = m.get("description").filter(|d| !d.is_empty()) {
        meta.describe(text);
    }
    store.put_material(name, &material)?;
    store.put(&meta)?;
    output::line(name)?;
    output::complain(&format!("Successfully created context {}", quote(name)));
    Ok(())
}

/// `docker context update`.
pub(crate) async fn update(context: &Context, m: Matches) -> Result {
    let (name, store) = (&m.args[0], store(context));
    if let Some(text) = crate::contexts::refusal(name) {
        return Err(Error::msg(text));
    }
    let mut meta = store.get(name)?;
    if let Some(text) = m.get("description").filter(|d| !d.is_empty()) {
        meta.describe(text);
    }
    let docker = m.all("docker");
    if !docker.is_empty() {
        let material = endpoint(context, &mut meta, &docker)?;
        store.put_material(name, &material)?;
    }
    store.put(&meta)?;
    output::line(name)?;
    output::complain(&format!("Successfully updated context {}", quote(name)));
    Ok(())
}

/// Sets where `meta` leads, by `--docker`; answers the certificates that go with it.
fn endpoint(context: &Context, meta: &mut Meta, given: &[String]) -> Result<Material> {
    let wrong = |why: &str| Error::msg(format!("unable to create docker endpoint config: {why}"));
    let mut all = BTreeMap::new();
    for value in given {
        all.extend(pairs(value).map_err(Error::msg)?);
    }
    const KEYS: [&str; 6] = ["ca", "cert", "from", "host", "key", "skip-tls-verify"];
    if let Some(key) = all.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(wrong(&format!("unrecognized config key: {key}")));
    }
    let text = |key: &str| all.get(key).map_or("", String::as_str);
    if !text("from").is_empty() {
        let (other, material) = get(context, text("from"))?;
        meta.lead_to(other.host(), other.skips_verification());
        return Ok(material);
    }
    let skip = text("skip-tls-verify");
    let skip = match skip {
        "" => false,
        given => boolean::parse(given).ok_or_else(|| {
            wrong(&format!(
                "skip-tls-verify: parsing {}: invalid syntax",
                quote(given)
            ))
        })?,
    };
    let material =
        Material::read(text("ca"), text("cert"), text("key")).map_err(|e| wrong(&e.to_string()))?;
    let host = text("host");
    if !host.is_empty() {
        if !host.contains("://") {
            return Err(wrong(&format!(
                "unable to apply docker endpoint options: unable to parse docker host `{host}`"
            )));
        }
        let used = !material.is_empty() && host.starts_with("tcp://");
        crate::client::check(host, used.then_some(&material), skip).map_err(|e| wrong(&e))?;
    }
    meta.lead_to(host, skip);
    Ok(material)
}

/// `docker context use`.
pub(crate) async fn use_it(context: &Context, m: Matches) -> Result {
    let name = &m.args[0];
    if name != DEFAULT {
        store(context).get(name)?;
    }
    set_current(context, name)?;
    output::line(name)?;
    output::complain(&format!("Current context is now {}", quote(name)));
    if let Some(variable) = context.chosen.overridden {
        output::complain(&format!(
            "Warning: {variable} environment variable overrides the active context. To use {}, either set the global --context flag, or unset {variable} environment variable.",
            quote(name)
        ));
    }
    Ok(())
}

/// Writes the current context down; `default` is none.
fn set_current(context: &Context, name: &str) -> Result {
    const MEMBER: &str = "currentContext";
    context.config.change(|file| {
        if name == DEFAULT {
            file.shift_remove(MEMBER).is_some()
        } else {
            file.insert(MEMBER.to_owned(), Value::from(name))
                .is_none_or(|old| old != name)
        }
    })
}

/// `docker context rm`.
pub(crate) async fn remove(context: &Context, m: Matches) -> Result {
    let force = m.on("force");
    let mut failures = Vec::new();
    for name in &m.args {
        match remove_one(context, name, force) {
            Ok(()) => output::line(name)?,
            Err(e) => failures.push(e.to_string()),
        }
    }
    Error::lines(&failures)
}

fn remove_one(context: &Context, name: &str, force: bool) -> Result {
    let quoted = quote(name);
    if name == DEFAULT {
        return Err(Error::msg("context \"default\" cannot be removed"));
    }
    let store = store(context);
    if !force && !store.has(name) {
        return Err(Error::msg(format!("context {quoted} does not exist")));
    }
    if context.chosen.name == name {
        if !force {
            return Err(Error::msg(format!(
                "context {quoted} is in use, set -f flag to force remove"
            )));
        }
        if context.config.text("currentContext") == name {
            set_current(context, DEFAULT)?;
        }
    }
    store.remove(name).map(drop)
}
