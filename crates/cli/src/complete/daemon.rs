//! Names that the daemon and the configuration know.

use serde_json::Value;

use super::Asking;
use crate::{client::Request, contexts};

/// Which containers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Running,
    Paused,
    /// Those that can be started.
    Resting,
}

impl Asking {
    async fn get(&self, request: Request) -> Vec<Value> {
        let Some(client) = &self.client else {
            return Vec::new();
        };
        match request.decode::<Value>(client).await {
            Ok(Value::Array(list)) => list,
            Ok(one) => vec![one],
            Err(_) => Vec::new(),
        }
    }

    pub(super) async fn containers(&self, which: Which) -> Vec<String> {
        let all = which != Which::Running;
        let list = self.get(Request::get("/containers/json").query_on("all", all));
        let mut names = Vec::new();
        for container in list.await {
            let state = container["State"].as_str().unwrap_or_default();
            let fits = match which {
                Which::All => true,
                // Those that are paused can do nothing, but `ps` lists them.
                Which::Running => state == "running" || state == "restarting",
                Which::Paused => state == "paused",
                Which::Resting => matches!(state, "created" | "exited" | "dead"),
            };
            let named = container["Names"].as_array().into_iter().flatten();
            let named = named
                .filter_map(Value::as_str)
                .map(|n| n.trim_start_matches('/'));
            // A further slash: the name by which another one links to it.
            names.extend(
                named
                    .filter(|n| fits && !n.contains('/'))
                    .map(str::to_owned),
            );
        }
        names
    }

    /// Images by name and tag; those with the tag that is meant anyway by the name alone, too.
    pub(super) async fn images(&self) -> Vec<String> {
        let mut names = Vec::new();
        for image in self.get(Request::get("/images/json")).await {
            for tag in image["RepoTags"].as_array().into_iter().flatten() {
                let Some(tag) = tag.as_str().filter(|t| *t != "<none>:<none>") else {
                    continue;
                };
                names.push(tag.to_owned());
                names.extend(tag.strip_suffix(":latest").map(str::to_owned));
            }
        }
        names
    }

    pub(super) async fn networks(&self) -> Vec<String> {
        let list = self.get(Request::get("/networks")).await;
        let names = list.iter().filter_map(|n| n["Name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// Those that are not always there.
    pub(super) async fn own_networks(&self) -> Vec<String> {
        let mut names = self.networks().await;
        names.retain(|n| crate::verbs::spec::network::is_own(n));
        names
    }

    /// Containers in a network, running or not.
    pub(super) async fn members(&self, network: &str) -> Vec<String> {
        let request = Request::get("/containers/json")
            .query_on("all", true)
            .filters(&[format!("network={network}")]);
        let list = self.get(request).await;
        let named = list.iter().filter_map(|c| c["Names"].as_array()).flatten();
        let named = named.filter_map(Value::as_str);
        let named = named.map(|n| n.trim_start_matches('/'));
        named
            .filter(|n| !n.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    pub(super) async fn volumes(&self) -> Vec<String> {
        let told = self.get(Request::get("/volumes")).await;
        let list = told.iter().filter_map(|u| u["Volumes"].as_array());
        let names = list.flatten().filter_map(|v| v["Name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// What the daemon says it has, by the pointer to a list or to named members.
    pub(super) async fn known(&self, pointer: &str) -> Vec<String> {
        let info = self.get(Request::get("/info")).await;
        match info.first().and_then(|info| info.pointer(pointer)) {
            Some(Value::Array(list)) => {
                let texts = list.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            Some(Value::Object(map)) => map.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn contexts(&self) -> Vec<String> {
        let store = contexts::Store::new(self.config.directory());
        let mut names = vec![contexts::DEFAULT.to_owned()];
        let all = store.list().unwrap_or_default();
        names.extend(all.into_iter().map(|meta| meta.name));
        names
    }
}
