//! How far the layers of a pull or a push are, as BuildKit tells it: each transfer has a beginning and
//! an end, and unpacking is one of its own.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use image::{LayerStep, Progress};
use types::build::Status;

use crate::session::now;

/// The transfers of one step, by what they are called.
#[derive(Debug, Default)]
pub(crate) struct Transfers(Mutex<BTreeMap<String, Status>>);

/// What a layer's step means for a transfer.
struct Change {
    id: String,
    name: &'static str,
    amounts: Option<(u64, u64)>,
    done: bool,
}

fn change(layer: &str, step: &LayerStep) -> Option<Change> {
    let (name, amounts, done) = match step {
        LayerStep::Downloading { current, total } => {
            ("downloading", Some((*current, *total)), false)
        }
        LayerStep::DownloadComplete => ("downloading", None, true),
        LayerStep::Extracting { current, total } => ("extracting", Some((*current, *total)), false),
        LayerStep::PullComplete => ("extracting", None, true),
        LayerStep::AlreadyExists | LayerStep::LayerExists => ("exists", None, true),
        LayerStep::Pushing { current, total } => ("pushing", Some((*current, *total)), false),
        LayerStep::Pushed => ("pushing", None, true),
        LayerStep::Mounted(_) => ("mounted", None, true),
        LayerStep::Retrying(_) => ("retrying", None, false),
        // Nothing moves yet, or what moves is told by other steps.
        LayerStep::PullingFsLayer
        | LayerStep::Waiting
        | LayerStep::VerifyingChecksum
        | LayerStep::Preparing
        | LayerStep::Loading { .. } => return None,
    };
    let id = match name {
        "extracting" => format!("extracting {layer}"),
        _ => layer.to_owned(),
    };
    Some(Change {
        id,
        name: if name == "extracting" { "" } else { name },
        amounts,
        done,
    })
}

impl Transfers {
    /// What is to be told of a report.
    pub(crate) fn told(&self, vertex: &str, progress: &Progress) -> Option<Status> {
        let Progress::Layer { id, step } = progress else {
            return None;
        };
        let change = change(id, step)?;
        let now = now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = all.entry(change.id.clone()).or_insert_with(|| Status {
            id: change.id,
            vertex: vertex.to_owned(),
            started: Some(now.clone()),
            ..Status::default()
        });
        change.name.clone_into(&mut status.name);
        if let Some((current, total)) = change.amounts {
            let amount = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            (status.current, status.total) = (amount(current), amount(total));
        }
        status.timestamp.clone_from(&now);
        // What failed and is tried again goes on.
        status.completed = change.done.then_some(now);
        if change.done {
            status.current = status.total;
        }
        Some(status.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transfer_has_a_beginning_and_an_end() {
        let all = Transfers::default();
        let tell = |step| {
            let id = "abc".to_owned();
            all.told("v", &Progress::Layer { id, step })
        };
        assert_eq!(tell(LayerStep::PullingFsLayer), None);
        let (current, total) = (1, 3);
        let first = tell(LayerStep::Downloading { current, total }).unwrap();
        assert_eq!(
            (first.id.as_str(), first.name.as_str()),
            ("abc", "downloading")
        );
        assert_eq!((first.current, first.total), (1, 3));
        assert!(first.started.is_some() && first.completed.is_none());
        let last = tell(LayerStep::DownloadComplete).unwrap();
        assert_eq!((last.current, last.total), (3, 3));
        assert_eq!(last.started, first.started);
        assert!(last.completed.is_some());
        tell(LayerStep::Extracting { current, total }).unwrap();
        let unpacked = tell(LayerStep::PullComplete).unwrap();
        assert_eq!(unpacked.id, "extracting abc");
        assert!(unpacked.started.is_some() && unpacked.completed.is_some());
    }
}
