//! Programs that keep volumes: Docker's plugin protocol, for drivers of the scope `local` and
//! `global`, over the socket of each. Whatever a plugin answers is judged; one that does not answer
//! keeps only those waiting who want its volumes.

mod call;
mod driver;
mod find;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

pub use call::{CallFailed, PluginAddress, PluginCaller};
pub(crate) use driver::{Driver, Mounted};
use serde::Deserialize;
use serde_json::Value;

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
/// How long one that did not answer such a question is not asked it again.
const QUIET: Duration = Duration::from_secs(30);

/// The plugins of this host.
pub(crate) struct Plugins {
    places: PluginPlaces,
    caller: Arc<dyn PluginCaller>,
    /// Those that have said that they keep volumes.
    active: Mutex<HashSet<(String, PluginAddress)>>,
    /// Those that did not answer in time, and when that was.
    silent: Mutex<BTreeMap<String, Instant>>,
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

impl Plugins {
    pub(crate) fn new(places: PluginPlaces, caller: Arc<dyn PluginCaller>) -> Arc<Self> {
        Arc::new(Self {
            places,
            caller,
            active: Mutex::default(),
            silent: Mutex::default(),
        })
    }

    /// The plugin `name`, which keeps volumes.
    pub(crate) async fn driver(self: &Arc<Self>, name: &str) -> Result<Driver> {
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
            plugins: Arc::clone(self),
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
    pub(crate) async fn list(self: &Arc<Self>) -> (Vec<(String, Told)>, Vec<String>) {
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

    /// Which plugin has a volume of this name, and what it says of it. One that does not answer is
    /// passed over, and for a while not asked again: it would hold up everybody who makes a volume.
    pub(crate) async fn who_has(self: &Arc<Self>, volume: &str) -> Option<(String, Told)> {
        let asked = self.names().await.into_iter().map(|name| async move {
            if lock(&self.silent)
                .get(&name)
                .is_some_and(|when| when.elapsed() < QUIET)
            {
                return None;
            }
            let look = async {
                let driver = self.driver(&name).await.ok()?;
                driver.has(volume).await
            };
            let (begun, most) = (Instant::now(), SHORT.min(self.places.patience));
            let found = tokio::time::timeout(most, look).await.unwrap_or(None);
            if found.is_none() && begun.elapsed() >= most {
                tracing::warn!(plugin = %name, volume, "no answer whether it has the volume");
                lock(&self.silent).insert(name.clone(), begun);
            }
            found.map(|told| (name, told))
        });
        let all = futures_util::future::join_all(asked).await;
        all.into_iter().flatten().next()
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
    use bytes::Bytes;
    use futures_util::future::BoxFuture;

    use super::*;

    /// Plugins that all answer the same; none: they say nothing.
    #[derive(Debug)]
    struct Same(Option<(u16, &'static str)>);

    impl PluginCaller for Same {
        fn post<'a>(
            &'a self,
            _address: &'a PluginAddress,
            _method: &'a str,
            _body: String,
        ) -> BoxFuture<'a, std::result::Result<(u16, Bytes), CallFailed>> {
            Box::pin(async {
                match self.0 {
                    Some((status, body)) => Ok((status, Bytes::from_static(body.as_bytes()))),
                    None => std::future::pending().await,
                }
            })
        }
    }

    /// The folder of plugins with one, `test`.
    fn plugins(answer: Option<(u16, &'static str)>) -> (tempfile::TempDir, Arc<Plugins>) {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("test.sock")).unwrap();
        let places = PluginPlaces {
            sockets: vec![dir.path().to_owned()],
            files: Vec::new(),
            patience: Duration::from_millis(200),
        };
        (dir, Plugins::new(places, Arc::new(Same(answer))))
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_and_not_believed() {
        for (answer, words) in [
            (None, "no answer within"),
            (Some((200, "{{{")), "not what the protocol says"),
            (Some((500, "oops")), "500: oops"),
            (Some((500, "{\"Err\": \"no room\"}")), "500: no room"),
            (Some((200, "{}")), "does not implement"),
        ] {
            let (_dir, plugins) = plugins(answer);
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
        let answer = "{\"Implements\": [\"VolumeDriver\"], \"Mountpoint\": \"rel\"}";
        let (_dir, plugins) = plugins(Some((200, answer)));
        let driver = plugins.driver("test").await.unwrap();
        let Mounted::Perhaps(error, None) = driver.mount("v", "user").await else {
            panic!("a relative path was taken");
        };
        assert!(error.to_string().contains("not a path"), "{error}");
        assert_eq!(driver.scope().await, "local");
    }

    #[tokio::test]
    async fn the_one_that_has_a_volume_is_found() {
        let answer = "{\"Implements\": [\"VolumeDriver\"], \"Volume\": {\"Name\": \"vol\"}}";
        let (_dir, found) = plugins(Some((200, answer)));
        assert_eq!(found.who_has("vol").await.unwrap().0, "test");
        // A plugin that answers with another one does not have it.
        assert!(found.who_has("other").await.is_none());
        // One that says nothing is not asked twice.
        let (_dir, silent) = plugins(None);
        assert!(silent.who_has("vol").await.is_none());
        assert!(lock(&silent.silent).contains_key("test"));
        assert!(silent.who_has("vol").await.is_none());
    }

    #[tokio::test]
    async fn names_are_not_paths() {
        let (_dir, plugins) = plugins(None);
        for name in ["../x", "", "a/b", "."] {
            let error = plugins.driver(name).await.err().unwrap().to_string();
            assert!(error.ends_with("not found"), "{error}");
        }
    }
}
