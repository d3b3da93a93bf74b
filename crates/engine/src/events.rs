//! What happens, told to whoever listens, and remembered for a while.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::broadcast;
use types::{
    event::{Actor, Event},
    options::{EventsOptions, Filters},
};

use crate::{clock, list, sync::lock};

/// As many as Docker remembers.
const REMEMBERED: usize = 256;

/// The daemon's events.
pub struct Events {
    past: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            past: Mutex::default(),
            live: broadcast::channel(1024).0,
        }
    }
}

impl Events {
    /// Tells that `action` happened to the `kind` with `id`.
    pub fn tell(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let now = Timestamp::now();
        let mut event = Event {
            status: String::new(),
            id: String::new(),
            from: String::new(),
            kind: kind.into(),
            action: action.into(),
            actor: Actor {
                id: id.into(),
                attributes,
            },
            scope: "local".into(),
            time: now.as_second(),
            time_nano: clock::nanos(now),
        };
        if kind == "container" || kind == "image" {
            event.status = action.into();
            event.id = id.into();
            if kind == "container" {
                event.from = event
                    .actor
                    .attributes
                    .get("image")
                    .cloned()
                    .unwrap_or_default();
            }
        }
        let mut past = lock(&self.past);
        if past.len() == REMEMBERED {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Under the lock, so that a listener sees each event once: in the past or live.
        // Nobody listening is fine.
        let _ = self.live.send(event);
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// The events asked for, ending at `until`.
    pub fn listen(&self, options: EventsOptions) -> impl Stream<Item = Event> + Send + use<> {
        let (past, live) = {
            let past = lock(&self.past);
            let live = self.live.subscribe();
            // Docker shows the past only to those who ask for it.
            let wanted = |e: &&Event| match (options.since, options.until) {
                (Some(since), _) => e.time_nano >= since,
                (None, Some(_)) => true,
                (None, None) => false,
            };
            (
                past.iter().filter(wanted).cloned().collect::<Vec<_>>(),
                live,
            )
        };
        let EventsOptions { until, filters, .. } = options;
        let live = stream::unfold(live, |mut live| async move {
            loop {
                match live.recv().await {
                    Ok(event) => return Some((event, live)),
                    // A listener too slow to follow misses events rather than holding others up.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let end = async move {
            match until {
                None => std::future::pending().await,
                Some(until) => {
                    let left = until.saturating_sub(clock::nanos(Timestamp::now()));
                    let left = std::time::Duration::from_nanos(u64::try_from(left).unwrap_or(0));
                    tokio::time::sleep(left).await;
                }
            }
        };
        stream::iter(past)
            .chain(live.take_until(Box::pin(end)))
            .filter(move |e| {
                let keep = until.is_none_or(|u| e.time_nano <= u) && matches(e, &filters);
                std::future::ready(keep)
            })
    }
}

/// Whether `event` is among those that `filters` ask for: any value of each name.
fn matches(event: &Event, filters: &Filters) -> bool {
    let attribute = |name: &str| event.actor.attributes.get(name).map(String::as_str);
    let names = |kind: &str, value: &str| {
        event.kind == kind
            && (event.actor.id == value
                || event.actor.id.starts_with(value) && types::id::is_prefix(value)
                || attribute("name") == Some(value))
    };
    filters.iter().all(|(name, values)| {
        // Any value of a filter, but all of the labels.
        if name == "label" {
            let labels = &event.actor.attributes;
            return values.iter().all(|v| list::has_label(labels, v));
        }
        values.is_empty()
            || values.iter().any(|value| match name.as_str() {
                "type" => event.kind == *value,
                "event" => {
                    event.action == *value
                        || event
                            .action
                            .strip_prefix(value.as_str())
                            .is_some_and(|r| r.starts_with(':'))
                }
                "container" | "network" | "volume" | "daemon" => names(name, value),
                "image" => {
                    names("image", value) || {
                        let image = attribute("image").unwrap_or_default();
                        image == value
                            || image
                                .rsplit_once(':')
                                .is_some_and(|(repo, _)| repo == value)
                    }
                }
                "scope" => event.scope == *value,
                _ => false,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(pairs: &[(&str, &str)]) -> Filters {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()]))
            .collect()
    }

    #[tokio::test]
    async fn the_past_is_told_once_and_filtered() {
        let events = Events::default();
        for action in ["create", "start", "die"] {
            let attributes = BTreeMap::from([("name".to_owned(), "web".to_owned())]);
            events.tell("container", action, "ab12", attributes);
        }
        events.tell("image", "pull", "busybox", BTreeMap::new());
        let ask = |f| EventsOptions {
            since: Some(0),
            until: Some(i64::MAX - 1),
            filters: f,
        };
        let heard: Vec<_> = events
            .listen(ask(filters(&[("container", "web"), ("event", "die")])))
            .take(1)
            .collect()
            .await;
        assert_eq!(heard[0].action, "die");
        let now = clock::nanos(Timestamp::now());
        let options = EventsOptions {
            since: Some(0),
            until: Some(now),
            filters: Filters::new(),
        };
        assert_eq!(events.listen(options).count().await, 4);
    }
}
