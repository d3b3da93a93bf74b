//! One program that keeps volumes, and what it is asked.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    CallFailed, PluginAddress, Plugins, Told,
    call::{self, Failed},
};
use crate::{
    error::{Error, Result},
    sync::lock,
    volumes::LOCAL,
};

/// What a plugin is for.
const KIND: &str = "VolumeDriver";
/// How long an answer is waited for in the background that nobody wants any more.
const LATE: Duration = Duration::from_secs(600);

/// One that keeps volumes.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(super) name: String,
    pub(super) address: PluginAddress,
    pub(super) plugins: Arc<Plugins>,
}

/// What came of a mount.
pub(crate) enum Mounted {
    /// It is there.
    At(PathBuf),
    /// It is not.
    Not(Error),
    /// Nobody knows yet: the answer may still come, if there is one to wait for.
    Perhaps(Error, Option<tokio::task::JoinHandle<bool>>),
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

impl Driver {
    pub(super) async fn activate(&self) -> std::result::Result<(), String> {
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
        self.ask_within(method, body, self.plugins.places.patience)
            .await
    }

    async fn ask_within(
        &self,
        method: &str,
        body: Value,
        patience: Duration,
    ) -> std::result::Result<Answer, Failed> {
        let caller = self.plugins.caller.as_ref();
        let answer = call::call(caller, &self.address, method, &body, patience).await;
        let answer = answer.and_then(|bytes| {
            serde_json::from_slice::<Answer>(&bytes).map_err(|e| {
                CallFailed::Garbage(format!(
                    "its answer to {method} is not what the protocol says: {e}"
                ))
                .into()
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
        Err(self.said(told))
    }

    fn said(&self, told: String) -> Error {
        Error::Plugin {
            name: self.name.clone(),
            told,
        }
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
    pub(crate) async fn mount(&self, name: &str, user: &str) -> Mounted {
        let patience = self.plugins.places.patience;
        let body = json!({"Name": name, "ID": user});
        let driver = self.clone();
        // On its own: a plugin that takes too long goes on with it, whoever has stopped waiting.
        let mut asked = tokio::spawn(async move {
            let method = format!("{KIND}.Mount");
            driver.ask_within(&method, body, LATE.max(patience)).await
        });
        let answer = match tokio::time::timeout(patience, &mut asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Mounted::Not(self.said(error.to_string())),
            Err(_) => {
                let later = tokio::spawn(async move {
                    match asked.await {
                        Ok(Ok(answer)) => answer.err.unwrap_or_default().is_empty(),
                        Ok(Err(Failed::Call(CallFailed::Dial { .. }) | Failed::Refused { .. })) => {
                            false
                        }
                        Ok(Err(_)) | Err(_) => true,
                    }
                });
                let error = self.said(Failed::Late(patience).to_string());
                return Mounted::Perhaps(error, Some(later));
            }
        };
        match answer {
            Ok(Answer { err: Some(err), .. }) if !err.is_empty() => Mounted::Not(self.said(err)),
            Ok(answer) => {
                let place = answer.mountpoint.unwrap_or_default();
                // It becomes a path of this host, whatever it is.
                if place.starts_with('/') && !place.contains('\0') {
                    return Mounted::At(place.into());
                }
                let told = format!("it answered {place:?} for the place of the volume: not a path");
                Mounted::Perhaps(self.said(told), None)
            }
            Err(failed @ (Failed::Call(CallFailed::Dial { .. }) | Failed::Refused { .. })) => {
                Mounted::Not(self.said(failed.to_string()))
            }
            Err(failed) => Mounted::Perhaps(self.said(failed.to_string()), None),
        }
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

    /// What it says of a volume, if it has it.
    pub(super) async fn has(&self, name: &str) -> Option<Told> {
        let answer = self.volume("Get", json!({"Name": name})).await.ok()?;
        answer.volume.filter(|told| told.name == name)
    }

    pub(super) async fn list(&self) -> Result<Vec<Told>> {
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
