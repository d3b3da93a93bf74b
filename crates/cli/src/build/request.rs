//! From the flags to what the daemon is asked for.

use std::collections::BTreeMap;

use types::build::{BuildRequest, Dockerfile, Secret};

use super::{
    Call, Inputs, Outputs,
    agent::Agents,
    caches,
    call::Method,
    inputs::Given,
    names::{self, Registries},
};
use crate::{
    client::Client,
    error::{Error, Result},
    flags::Matches,
    format::size,
    progress::build::Board,
    verbs::{
        Context,
        spec::{env, names::host, ulimit},
    },
};

/// The kinds of `--allow`.
const ALLOWED: &[&str] = &["network.host", "security.insecure"];

/// Bytes of the Dockerfile and the secrets; the daemon takes 16 MiB, and there are names and arguments.
const LARGEST: usize = 15 << 20;

/// What is asked for, but for the files, which come later; and the agents that steps may ask.
pub(crate) struct Asked {
    request: BuildRequest,
    pub(super) agents: Agents,
}

/// Reads everything that can be wrong, before anything is sent.
pub(crate) fn ask(
    context: &Context,
    m: &Matches,
    inputs: &Inputs,
    outputs: &Outputs,
    secrets: Vec<Secret>,
) -> Result<Asked> {
    let bytes = |name: &str| m.get(name).map_or(Ok(0), size::parse).map_err(Error::msg);
    let all_caches = |flag: &str| -> Result<Vec<_>> {
        m.all(flag).iter().map(|t| names::cache(flag, t)).collect()
    };
    let tags: Vec<String> = m
        .all("tag")
        .iter()
        .map(|t| names::tag(t))
        .collect::<Result<_>>()?;
    let hosts = m.all("add-host");
    let hosts = hosts.iter().map(|h| host(h).map_err(Error::msg));
    let ulimits = m.all("ulimit");
    let ulimits = ulimits.iter().map(|u| ulimit::parse(u).map_err(Error::msg));
    check_size(&secrets, inputs.text.as_deref())?;
    let agents = Agents::parse(&m.all("ssh"))?;
    let call = Call::of(m)?;
    let network = m.text("network");
    if network.starts_with("container:") {
        return Err(Error::msg(format!(
            "ERROR: network mode \"{network}\" is not supported for builds: there are default, none, host and networks of your own"
        )));
    }
    let mut allow = Vec::new();
    for one in m.all("allow") {
        for kind in one.split(',') {
            if !ALLOWED.contains(&kind) {
                return Err(Error::msg(format!(
                    "ERROR: --allow {kind} is not supported by wharf: there are {}",
                    ALLOWED.join(" and ")
                )));
            }
            allow.push(kind.to_owned());
        }
    }
    let platforms: Vec<String> = m
        .all("platform")
        .iter()
        .flat_map(|p| p.split(','))
        .map(|p| p.trim().to_owned())
        .filter(|p| !p.is_empty())
        .collect();
    let swap = match m.get("memory-swap") {
        Some("-1") => -1,
        _ => bytes("memory-swap")?,
    };
    let number = |name: &str| m.int(name).unwrap_or(0);
    let mut request = BuildRequest {
        id: identifier(),
        target: m.text("target"),
        build_args: build_args(context, m),
        labels: env::labels(&[], &m.all("label"))?,
        no_cache: m.on("no-cache"),
        no_cache_filter: m
            .all("no-cache-filter")
            .iter()
            .flat_map(|f| f.split(','))
            .map(str::to_owned)
            .collect(),
        pull: m.on("pull"),
        platform: platforms.join(","),
        cache_from: all_caches("cache-from")?,
        cache_to: all_caches("cache-to")?,
        secrets,
        ssh: agents.names(),
        extra_hosts: hosts.collect::<Result<_>>()?,
        network: if network == "default" {
            String::new()
        } else {
            network
        },
        allow,
        shm_size: bytes("shm-size")?,
        ulimits: ulimits.collect::<Result<_>>()?,
        cgroup_parent: m.text("cgroup-parent"),
        memory: bytes("memory")?,
        memory_swap: swap,
        cpu_shares: number("cpu-shares"),
        cpu_quota: number("cpu-quota"),
        cpu_period: number("cpu-period"),
        cpuset_cpus: m.text("cpuset-cpus"),
        cpuset_mems: m.text("cpuset-mems"),
        outputs: if call.builds() {
            outputs.asked.clone()
        } else {
            Vec::new()
        },
        check: call.method == Method::Check,
        call: call.asks().to_owned(),
        tags,
        ..BuildRequest::default()
    };
    request.auths = registries(&request, inputs).credentials(&context.config.credentials());
    Ok(Asked { request, agents })
}

/// What the daemon would refuse for its length only after all files were sent.
fn check_size(secrets: &[Secret], dockerfile: Option<&str>) -> Result {
    let secrets: usize = secrets.iter().map(|s| s.value.len()).sum();
    // In JSON the ends of its lines take two bytes.
    let text = dockerfile.map_or(0, |text| {
        text.len() + text.matches(['\n', '\t', '"']).count()
    });
    if secrets + text > LARGEST {
        return Err(Error::msg(
            "ERROR: the Dockerfile and the secrets are too big: together they may have 15 MiB",
        ));
    }
    Ok(())
}

impl Asked {
    /// The whole request.
    pub(crate) fn with(self, given: Given, dockerfile: Dockerfile) -> (BuildRequest, Agents) {
        let request = BuildRequest {
            context: given.context,
            contexts: given.named,
            dockerfile,
            ..self.request
        };
        (request, self.agents)
    }

    /// Makes caches in directories known to the daemon.
    pub(crate) async fn give_caches(&mut self, client: &Client, board: &mut Board) -> Result {
        caches::look(&mut self.request.cache_to);
        caches::give(&mut self.request.cache_from, client, board).await
    }

    /// Names the build.
    pub(crate) fn id(&self) -> &str {
        &self.request.id
    }
}

/// Build arguments: the flag's, those of the configuration's proxies, and the time that makes builds
/// the same each time.
fn build_args(context: &Context, m: &Matches) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for text in m.all("build-arg") {
        match text.split_once('=') {
            Some((name, value)) => {
                all.insert(name.to_owned(), value.to_owned());
            }
            // Not set here means not given.
            None => match std::env::var(&text) {
                Ok(value) => {
                    all.insert(text, value);
                }
                Err(_) => {
                    all.remove(&text);
                }
            },
        }
    }
    let mut proxies: Vec<String> = all
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    context
        .config
        .add_proxies(context.client.host(), &mut proxies);
    for pair in proxies {
        if let Some((name, value)) = pair.split_once('=') {
            all.entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH")
        && !epoch.is_empty()
    {
        all.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
    }
    all
}

fn registries(request: &BuildRequest, inputs: &Inputs) -> Registries {
    let mut all = Registries::default();
    match &inputs.text {
        Some(text) => all.add_dockerfile(text),
        None => all.add_unknown(),
    }
    inputs.images().for_each(|name| all.add(name));
    for cache in request.cache_from.iter().chain(&request.cache_to) {
        if let Some(name) = cache.attributes.get("ref") {
            all.add(name);
        }
    }
    if request.outputs.iter().any(|o| o.push) {
        let names = request.outputs.iter().flat_map(|o| &o.names);
        names.chain(&request.tags).for_each(|name| all.add(name));
    }
    all
}

/// Letters and digits that no other build has.
fn identifier() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let mut bytes = [0_u8; 25];
    let mut got = 0;
    while got < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut bytes[got..], flags) {
            Ok(n) => got += n,
            Err(rustix::io::Errno::INTR) => {}
            // Only a kernel without it refuses; the process and the time must do.
            Err(_) => {
                return format!("{}{}", std::process::id(), crate::format::time::now());
            }
        }
    }
    bytes
        .iter()
        .map(|b| char::from(LETTERS[usize::from(b & 31)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_big_is_not_sent() {
        let secret = Secret {
            id: "a".to_owned(),
            value: "x".repeat(8 << 20),
        };
        let text = "#".repeat(6 << 20);
        assert!(check_size(std::slice::from_ref(&secret), Some(&text)).is_ok());
        assert!(check_size(&[secret.clone(), secret], Some(&text)).is_err());
        assert!(check_size(&[], Some(&"\n".repeat(8 << 20))).is_err());
    }

    #[test]
    fn identifiers_differ() {
        assert_ne!(identifier(), identifier());
        assert_eq!(identifier().len(), 25);
    }
}
