//! Programs that keep volumes: Docker's plugin protocol, for drivers of the scope `local` and
//! `global`, over the socket of each. Whatever a plugin answers is judged; one that does not answer
//! keeps only those waiting who want its volumes.

mod call;
mod find;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use call::{Address, Failed};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    sync::lock,
    volumes::LOCAL,
};

/// Where plugins are looked for, and how long they may think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginPlaces {
    /// Directories of sockets.
    pub sockets: Vec<PathBuf>,
    /// Directories of `.spec` and `.json` files.
    pub files: Vec<PathBuf>,
    /// For one call.
    pub patience: Duration,
}

impl Default for PluginPlaces {
    fn default() -> Self {
        Self {
            sockets: vec!["/run/docker/plugins".into()],
            files: vec![
                "/etc/docker/plugins".into(),
                "/usr/lib/docker/plugins".into(),
            ],
            patience: Duration::from_secs(60),
        }
    }
}

/// For plugins that are only asked what they have.
const SHORT: Duration = Duration::from_secs(5);

/// What a plugin is for.
const KIND: &str = "VolumeDriver";

/// The plugins of this host.
pub(crate) struct Plugins {
    places: PluginPlaces,
    /// Those that have said that they keep volumes.
    active: Mutex<HashSet<(String, Address)>>,
}

/// One that keeps volumes.
pub(crate) struct Driver<'a> {
    name: String,
    address: Address,
    plugins: &'a Plugins,
}

/// A volume, as its plugin tells of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Told {
    pub name: String,
    pub mountpoint: Option<String>,
    pub created_at: Option<String>,
    pub status: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    err: Option<String>,
    mountpoint: Option<String>,
    volume: Option<Told>,
    volumes: Option<Vec<Told>>,
    capabilities: Option<Capabilities>,
    implements: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Capabilities {
    scope: String,
}

impl Plugins {
    pub(crate) fn new(places: PluginPlaces) -> Self {
        Self {
            places,
            active: Mutex::default(),
        }
    }

    /// The plugin `name`, which keeps volumes.
    pub(crate) async fn driver(&self, name: &str) -> Result<Driver<'_>> {
        let unknown = |why: String| {
            // Not as an absent object: clients would take it for the image, and pull.
            Error::Invalid(format!("error looking up volume plugin {name}: {why}"))
        };
        if !find::is_name(name) {
            return Err(unknown(format!("plugin {name:?} not found")));
        }
        let (places, asked) = (self.places.clone(), name.to_owned());
        let found = tokio::task::spawn_blocking(move || find::find(&places, &asked)).await;
        let found = found.map_err(|e| unknown(e.to_string()))?;
        let address = found.map_err(unknown)?;
        let driver = Driver {
            name: name.to_owned(),
            address,
            plugins: self,
        };
        driver.activate().await.map_err(unknown)?;
        Ok(driver)
    }

    /// Names of all that could be here.
    pub(crate) async fn names(&self) -> Vec<String> {
        let places = self.places.clone();
        let found = tokio::task::spawn_blocking(move || find::names(&places)).await;
        found.unwrap_or_default()
    }

    /// What all plugins have, with the plugins' names; and what went wrong.
    pub(crate) async fn list(&self) -> (Vec<(String, Told)>, Vec<String>) {
        let asked = self.names().await.into_iter().map(|name| async move {
            let look = async {
                let driver = self.driver(&name).await.ok()?;
                Some(driver.list().await)
            };
            match tokio::time::timeout(SHORT.min(self.places.patience), look).await {
                Ok(None) => (Vec::new(), None),
                Ok(Some(Ok(all))) => {
                    let all = all.into_iter().map(|told| (name.clone(), told));
                    (all.collect(), None)
                }
                Ok(Some(Err(error))) => (Vec::new(), Some(error.to_string())),
                Err(_) => (
                    Vec::new(),
                    Some(format!("list {name}: no answer within {SHORT:?}")),
                ),
            }
        });
        let mut all = (Vec::new(), Vec::new());
        for (volumes, warning) in futures_util::future::join_all(asked).await {
            all.0.extend(volumes);
            all.1.extend(warning);
        }
        all
    }
}

impl Driver<'_> {
    async fn activate(&self) -> std::result::Result<(), String> {
        let key = (self.name.clone(), self.address.clone());
        if lock(&self.plugins.active).contains(&key) {
            return Ok(());
        }
        let answer: Answer = self
            .ask("Plugin.Activate", Value::Null)
            .await
            .map_err(|e| e.to_string())?;
        let kinds = answer.implements.unwrap_or_default();
        if !kinds.iter().any(|kind| kind == KIND) {
            return Err(format!(
                "plugin \"{}\" found, but it does not implement {KIND}",
                self.name
            ));
        }
        lock(&self.plugins.active).insert(key);
        Ok(())
    }

    async fn ask(&self, method: &str, body: Value) -> std::result::Result<Answer, Failed> {
        let patience = self.plugins.places.patience;
        let answer = call::call(&self.address, method, &body, patience).await;
        let answer = answer.and_then(|bytes| {
            serde_json::from_slice::<Answer>(&bytes).map_err(|e| {
                Failed::Garbage(format!(
                    "its answer to {method} is not what the protocol says: {e}"
                ))
            })
        });
        if answer.is_err() {
            // Another program may listen there the next time.
            lock(&self.plugins.active).retain(|(name, _)| *name != self.name);
        }
        answer
    }

    /// Asks, and takes what the plugin calls an error for one.
    async fn volume(&self, method: &str, body: Value) -> Result<Answer> {
        let answer = self.ask(&format!("{KIND}.{method}"), body).await;
        let told = match answer {
            Ok(Answer { err: Some(err), .. }) if !err.is_empty() => err,
            Ok(answer) => return Ok(answer),
            Err(failed) => failed.to_string(),
        };
        Err(Error::Plugin {
            name: self.name.clone(),
            told,
        })
    }

    pub(crate) async fn create(
        &self,
        name: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<()> {
        let body = json!({"Name": name, "Opts": options});
        self.volume("Create", body).await.map(drop)
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        self.volume("Remove", json!({"Name": name})).await.map(drop)
    }

    /// Makes it ready for `user`; answers where it is.
    pub(crate) async fn mount(&self, name: &str, user: &str) -> Result<PathBuf> {
        let body = json!({"Name": name, "ID": user});
        let answer = self.volume("Mount", body).await?;
        let place = answer.mountpoint.unwrap_or_default();
        // It becomes a path of this host, whatever it is.
        if !place.starts_with('/') || place.contains('\0') {
            return Err(Error::Plugin {
                name: self.name.clone(),
                told: format!("it answered {place:?} for the place of the volume: not a path"),
            });
        }
        Ok(place.into())
    }

    pub(crate) async fn unmount(&self, name: &str, user: &str) -> Result<()> {
        let body = json!({"Name": name, "ID": user});
        self.volume("Unmount", body).await.map(drop)
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Told> {
        let answer = self.volume("Get", json!({"Name": name})).await?;
        let mut told = answer.volume.unwrap_or_default();
        if told.mountpoint.as_deref().unwrap_or_default().is_empty() {
            // Plugins that do not say it there are asked for it alone.
            let path = self.volume("Path", json!({"Name": name})).await;
            told.mountpoint = path.ok().and_then(|answer| answer.mountpoint);
        }
        Ok(told)
    }

    async fn list(&self) -> Result<Vec<Told>> {
        let answer = self.volume("List", json!({})).await?;
        Ok(answer.volumes.unwrap_or_default())
    }

    /// `local` or `global`; `local` where it says nothing that makes sense.
    pub(crate) async fn scope(&self) -> String {
        let answer = self.volume("Capabilities", Value::Null).await;
        let said = answer.ok().and_then(|a| a.capabilities);
        match said.map(|c| c.scope.to_lowercase()).as_deref() {
            Some("global") => "global".to_owned(),
            _ => LOCAL.to_owned(),
        }
    }
}

/// Names of the drivers of volumes: the local one, and those that are found.
#[must_use]
pub fn known(places: &PluginPlaces) -> Vec<String> {
    let mut names = vec![LOCAL.to_owned()];
    names.extend(find::names(places));
    names
}

/// Whether `path` is a socket.
fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|there| there.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;

    /// A plugin that answers every call with the same bytes; none: it says nothing.
    fn plugin(dir: &Path, answer: Option<&'static str>) {
        let listener = UnixListener::bind(dir.join("test.sock")).unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = client.read(&mut request).await;
                match answer {
                    Some(answer) => _ = client.write_all(answer.as_bytes()).await,
                    None => held.push(client),
                }
            }
        });
    }

    fn plugins(dir: &Path) -> Plugins {
        Plugins::new(PluginPlaces {
            sockets: vec![dir.to_owned()],
            files: Vec::new(),
            patience: Duration::from_millis(200),
        })
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_and_not_believed() {
        for (answer, words) in [
            (None, "no answer within"),
            (Some("nonsense\r\n\r\n"), "plugin test"),
            (
                Some("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{{{"),
                "not what the protocol says",
            ),
            (
                Some("HTTP/1.1 500 no\r\nContent-Length: 4\r\n\r\noops"),
                "oops",
            ),
            (
                Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
                "does not implement",
            ),
            (
                Some("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
                "test",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            plugin(dir.path(), answer);
            let plugins = plugins(dir.path());
            let error = plugins.driver("test").await.err().unwrap().to_string();
            assert!(error.contains(words), "{answer:?}: {error}");
            assert!(
                error.starts_with("error looking up volume plugin test: "),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_place_is_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\
                      {\"Implements\": [\"VolumeDriver\"], \"Mountpoint\": \"rel\"}";
        plugin(dir.path(), Some(answer));
        let plugins = plugins(dir.path());
        let driver = plugins.driver("test").await.unwrap();
        let error = driver.mount("v", "user").await.unwrap_err().to_string();
        assert!(error.contains("not a path"), "{error}");
        assert_eq!(driver.scope().await, "local");
    }

    #[tokio::test]
    async fn names_are_not_paths() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../x", "", "a/b", "."] {
            let error = plugins(dir.path())
                .driver(name)
                .await
                .err()
                .unwrap()
                .to_string();
            assert!(error.ends_with("not found"), "{error}");
        }
    }
}
