//! Which daemon a command line means.

use super::{DEFAULT, Material, Store};
use crate::{
    client::{DEFAULT_HOST, Endpoint, Tls},
    config::ConfigFile,
    error::{Error, Result},
    flags::Matches,
    format::quote,
};

/// The context that counts, and what would have said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The context's name.
    pub(crate) name: String,
    /// The variable that overrides the configured context, if one does.
    pub(crate) overridden: Option<&'static str>,
    /// Where `default` leads.
    pub(crate) default_host: String,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// Decides by flags, then variables, then configuration.
pub(crate) fn choose(globals: &Matches, config: &ConfigFile) -> Result<Choice> {
    let mut hosts = globals.all("host");
    let context = globals.text("context");
    if !hosts.is_empty() && !context.is_empty() {
        return Err(Error::msg(
            "conflicting options: cannot specify both --host and --context",
        ));
    }
    if hosts.len() > 1 {
        return Err(Error::msg("Specify only one -H"));
    }
    let by_flag = !hosts.is_empty();
    let named = ["WHARF_HOST", "DOCKER_HOST"]
        .into_iter()
        .find_map(|name| Some((name, variable(name)?)));
    let overridden = named
        .as_ref()
        .map(|(name, _)| *name)
        .filter(|_| !by_flag && context.is_empty());
    let default_host = hosts
        .pop()
        .filter(|h| !h.is_empty())
        .or_else(|| named.map(|(_, host)| host).filter(|_| !by_flag))
        .unwrap_or_else(|| DEFAULT_HOST.to_owned());
    let name = if !context.is_empty() {
        context
    } else if by_flag || overridden.is_some() {
        DEFAULT.to_owned()
    } else {
        variable("DOCKER_CONTEXT")
            .or_else(|| Some(config.text("currentContext")).filter(|c| !c.is_empty()))
            .unwrap_or_else(|| DEFAULT.to_owned())
    };
    Ok(Choice {
        name,
        overridden,
        default_host,
    })
}

/// How the daemon of the chosen context is reached.
pub(crate) fn endpoint(
    choice: &Choice,
    globals: &Matches,
    config: &ConfigFile,
) -> Result<Endpoint> {
    if choice.name == DEFAULT {
        let tls = by_flags(globals, config)?;
        return Ok(Endpoint {
            host: choice.default_host.clone(),
            tls,
        });
    }
    let store = Store::new(config.directory());
    let failed = |e: Error| {
        Error::msg(format!(
            "Failed to initialize: unable to resolve docker endpoint: {e}"
        ))
    };
    let meta = store.get(&choice.name).map_err(failed)?;
    if !meta.endpoints.contains_key(super::DOCKER) {
        return Err(failed(Error::msg(format!(
            "docker endpoint not found in context {}",
            quote(&choice.name)
        ))));
    }
    let host = match meta.host() {
        "" => DEFAULT_HOST,
        host => host,
    };
    let material = store.material(&choice.name).map_err(failed)?;
    let wanted = !material.is_empty() || meta.skips_verification();
    Ok(Endpoint {
        host: host.to_owned(),
        tls: wanted.then(|| Tls {
            material,
            verify: !meta.skips_verification(),
        }),
    })
}

/// TLS as flags and variables want it, if they do.
fn by_flags(globals: &Matches, config: &ConfigFile) -> Result<Option<Tls>> {
    let given = globals.switch("tlsverify");
    let verify = given.unwrap_or_else(|| variable("DOCKER_TLS_VERIFY").is_some());
    let wanted = globals
        .switch("tls")
        .unwrap_or_else(|| variable("DOCKER_TLS").is_some());
    // `--tlsverify=false` asks for TLS as well, for docker.
    if !(wanted || verify || given.is_some()) {
        return Ok(None);
    }
    let dir = variable("DOCKER_CERT_PATH").map_or_else(
        || config.directory().to_path_buf(),
        std::path::PathBuf::from,
    );
    let file = |flag: &str, usual: &str, needed: bool| match globals.get(flag) {
        Some(path) => unquoted(path).to_owned(),
        None => {
            let path = dir.join(usual);
            if needed || path.exists() {
                path.display().to_string()
            } else {
                String::new()
            }
        }
    };
    let ca = if verify || globals.get("tlscacert").is_some() {
        file("tlscacert", "ca.pem", true)
    } else {
        String::new()
    };
    let material = Material::read(
        &ca,
        &file("tlscert", "cert.pem", false),
        &file("tlskey", "key.pem", false),
    )
    .map_err(|e| {
        Error::msg(format!(
            "Failed to initialize: unable to resolve docker endpoint: {e}"
        ))
    })?;
    Ok(Some(Tls { material, verify }))
}

/// docker's scripts write `--tlskey="path"` where no shell takes the quotes away.
fn unquoted(path: &str) -> &str {
    let inner = path.strip_prefix('"').and_then(|p| p.strip_suffix('"'));
    inner
        .or_else(|| path.strip_prefix('\'').and_then(|p| p.strip_suffix('\'')))
        .unwrap_or(path)
}
