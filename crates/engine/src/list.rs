//! The list of containers.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use regex::Regex;
use types::{
    boolean,
    container::{ContainerSummary, HostConfigSummary, NetworksSummary, PortSummary},
    options::{CONTAINER_FILTERS, Filters, HEALTH, ListOptions, STATUSES},
};

use crate::{
    Engine, blocking, clock,
    container::Container,
    error::{Error, Result},
    ports,
    record::Record,
    state::{Phase, State},
    sync::lock,
};

impl Engine {
    /// The containers that match, newest first.
    pub async fn list(&self, options: ListOptions) -> Result<Vec<ContainerSummary>> {
        check(&options.filters)?;
        let names = name_patterns(&options.filters)?;
        let mut all = lock(&self.containers).all();
        all.sort_by_key(|c| Reverse(c.with_record(|r| r.created.clone())));
        let edge = |name: &str| -> Result<Option<String>> {
            let Some(reference) = options.filters.get(name).and_then(|v| v.first()) else {
                return Ok(None);
            };
            Ok(Some(
                self.find(reference)?.with_record(|r| r.created.clone()),
            ))
        };
        let (before, since) = (edge("before")?, edge("since")?);
        let stopped_too =
            options.all || options.limit.is_some() || options.filters.contains_key("status");
        let linked = self.linked_names();
        let mut found = Vec::new();
        let now = Timestamp::now();
        for container in all {
            let (record, state) = (container.record(), container.state());
            let others = linked.get(&record.id).map_or(&[][..], Vec::as_slice);
            let shown = stopped_too || state.is_running() || state.word() == "restarting";
            if !shown
                || before.as_ref().is_some_and(|b| record.created >= *b)
                || since.as_ref().is_some_and(|s| record.created <= *s)
                || !self.matches(
                    &container,
                    &record,
                    &state,
                    &options.filters,
                    &names,
                    others,
                )
            {
                continue;
            }
            if options.limit.is_some_and(|limit| found.len() >= limit) {
                break;
            }
            let mut summary = self
                .summary(&container, record, &state, now, options.size)
                .await?;
            let others = others.iter().map(|name| format!("/{name}"));
            summary.names.extend(others);
            found.push(summary);
        }
        Ok(found)
    }

    async fn summary(
        &self,
        container: &Arc<Container>,
        record: Record,
        state: &State,
        now: Timestamp,
        size: bool,
    ) -> Result<ContainerSummary> {
        let (size_rw, size_root_fs) = if size {
            let (images, id) = (self.images.clone(), container.id.clone());
            let rw = match blocking(move || Ok(images.container_size(&id)?)).await {
                Ok(rw) => rw,
                // It is on its way out: its files went before its name.
                Err(_) if container.state().phase == Phase::Removing => 0,
                Err(error) => return Err(error),
            };
            let image = self.images.get(&record.image_id).map_or(0, |i| i.size);
            (Some(rw.cast_signed()), Some((image + rw).cast_signed()))
        } else {
            (None, None)
        };
        Ok(ContainerSummary {
            names: vec![format!("/{}", record.name)],
            image: self.image_name(&record),
            image_id: record.image_id.clone(),
            command: command(record.argv()),
            created: clock::unix(&record.created),
            ports: port_list(container, &record, state),
            size_rw,
            size_root_fs,
            labels: record.config.labels.clone(),
            state: state.word().into(),
            status: state.sentence(now),
            host_config: HostConfigSummary {
                network_mode: record.host_config.network_mode.clone(),
            },
            network_settings: NetworksSummary {
                networks: self.networks(container, &record),
            },
            mounts: self.mount_points(&record),
            id: record.id,
        })
    }

    /// The name the user gave, as long as it means that image.
    fn image_name(&self, record: &Record) -> String {
        match self.images.get(&record.config.image) {
            Ok(image) if image.id.to_string() == record.image_id => record.config.image.clone(),
            _ => record.image_id.clone(),
        }
    }

    fn matches(
        &self,
        container: &Container,
        record: &Record,
        state: &State,
        filters: &Filters,
        names: &[Regex],
        linked: &[String],
    ) -> bool {
        filters.iter().all(|(filter, values)| {
            // Any value of a filter, but all of the labels.
            if filter == "label" {
                return values.iter().all(|v| has_label(&record.config.labels, v));
            }
            // Of published and exposed ports either one will do.
            if filter == "publish" || filter == "expose" {
                return ["publish", "expose"].iter().any(|kind| {
                    let ports = filters.get(*kind);
                    ports.is_some_and(|p| has_port(container, record, state, kind, p))
                });
            }
            values.is_empty()
                || values.iter().any(|value| match filter.as_str() {
                    "id" => record.id.contains(value.as_str()),
                    "name" => names.iter().any(|p| {
                        let mut own = std::iter::once(&record.name).chain(linked);
                        own.any(|name| name_matches(name, p))
                    }),
                    "status" => state.word() == value,
                    "exited" => {
                        state.word() == "exited" && value.parse() == Ok(state.last.exit_code)
                    }
                    "ancestor" => {
                        record.config.image == *value
                            || self
                                .images
                                .get(value)
                                .is_ok_and(|i| i.id.to_string() == record.image_id)
                    }
                    "volume" => record.mounts.iter().any(|m| {
                        // What has no name goes by its path.
                        let own = if m.name.is_empty() {
                            &m.source
                        } else {
                            &m.name
                        };
                        own == value || m.destination == *value
                    }),
                    "network" => self
                        .networks(container, record)
                        .iter()
                        .any(|(name, n)| name == value || n.network_id.starts_with(value.as_str())),
                    "health" => state.health().word() == value,
                    "is-task" => boolean::parse(value) == Some(false),
                    // Said of Windows; on Linux Docker takes every one.
                    "isolation" => true,
                    // Handled by their position in the list.
                    "before" | "since" => true,
                    _ => false,
                })
        })
    }
}

fn check(filters: &Filters) -> Result<()> {
    if let Some(unknown) = filters
        .keys()
        .find(|k| !CONTAINER_FILTERS.contains(&k.as_str()))
    {
        return Err(Error::Invalid(format!("invalid filter '{unknown}'")));
    }
    let invalid = |filter: &str, allowed: fn(&String) -> bool| {
        filters
            .get(filter)
            .into_iter()
            .flatten()
            .find(|v| !allowed(v))
            .map(|v| Error::Invalid(format!("invalid filter '{filter}={v}'")))
    };
    let wrong = invalid("status", |v| STATUSES.contains(&v.as_str()))
        .or_else(|| invalid("exited", |v| v.parse::<i32>().is_ok()))
        .or_else(|| invalid("health", |v| HEALTH.contains(&v.as_str())))
        .or_else(|| invalid("is-task", |v| boolean::parse(v).is_some()));
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    for kind in ["publish", "expose"] {
        for value in filters.get(kind).into_iter().flatten() {
            if value.contains(':') {
                return Err(Error::Invalid(format!(
                    "filter for '{kind}' should not contain ':': {value}"
                )));
            }
            if port_range(value).is_none() {
                return Err(Error::Invalid(format!(
                    "error while looking up for {kind} {value}: invalid range"
                )));
            }
        }
    }
    Ok(())
}

/// First and last port and the protocol of `80`, `80-90` or `53/udp`.
fn port_range(value: &str) -> Option<(u16, u16, &str)> {
    let (range, kind) = value.split_once('/').unwrap_or((value, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last, kind))
}

/// Whether one of the container's ports, of `kind`, is among `wanted`.
fn has_port(
    container: &Container,
    record: &Record,
    state: &State,
    kind: &str,
    wanted: &[String],
) -> bool {
    let ports = port_list(container, record, state);
    wanted
        .iter()
        .filter_map(|w| port_range(w))
        .any(|(first, last, proto)| {
            ports.iter().filter(|p| p.kind == proto).any(|p| {
                let port = if kind == "publish" {
                    p.public_port
                } else {
                    Some(p.private_port)
                };
                port.is_some_and(|port| (first..=last).contains(&port))
            })
        })
}

/// Whether `labels` have `wanted`: `name` or `name=value`.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

/// Whether `labels` have all that the filter `label` wants and none that `label!` does not.
#[must_use]
pub fn labels_pass(labels: &BTreeMap<String, String>, filters: &Filters) -> bool {
    let has = |value: &String| has_label(labels, value);
    let values = |name: &str| filters.get(name).map(Vec::as_slice).unwrap_or_default();
    values("label").iter().all(has) && !values("label!").iter().any(has)
}

/// Program and arguments as Docker writes them: arguments with spaces in quotes.
fn command(argv: Vec<String>) -> String {
    let quoted = |(n, argument): (usize, String)| match argument {
        a if n > 0 && a.contains(' ') => format!("'{a}'"),
        a => a,
    };
    let words: Vec<_> = argv.into_iter().enumerate().map(quoted).collect();
    words.join(" ")
}

/// The `name` filters, which Docker takes as regular expressions; compiled once a list.
pub(crate) fn name_patterns(filters: &Filters) -> Result<Vec<Regex>> {
    let patterns = filters.get("name").into_iter().flatten();
    patterns
        .map(|v| Regex::new(v).map_err(|_| Error::Invalid(format!("invalid filter 'name={v}'"))))
        .collect()
}

/// With or without the name's leading slash.
fn name_matches(name: &str, pattern: &Regex) -> bool {
    pattern.is_match(name) || pattern.is_match(&format!("/{name}"))
}

/// Published and exposed ports of a running container.
fn port_list(container: &Container, record: &Record, state: &State) -> Vec<PortSummary> {
    if !state.is_running() {
        return Vec::new();
    }
    let mut list = Vec::new();
    let published = ports::published(&lock(&container.place).published);
    for (port, bindings) in &published {
        let Ok((private_port, proto)) = ports::parse(port) else {
            continue;
        };
        list.extend(bindings.iter().map(|b| {
            let public_port = b.host_port.parse().ok();
            PortSummary {
                // Where no port of the host's stands for it, there is no address either: clients would
                // show it as port 0.
                ip: public_port
                    .map(|_: u16| b.host_ip.clone())
                    .unwrap_or_default(),
                private_port,
                public_port,
                kind: proto.to_string(),
            }
        }));
    }
    for port in record.config.exposed_ports.keys() {
        let Ok((private_port, proto)) = ports::parse(port) else {
            continue;
        };
        if !published.contains_key(&format!("{private_port}/{proto}")) {
            list.push(PortSummary {
                private_port,
                kind: proto.to_string(),
                ..PortSummary::default()
            });
        }
    }
    list.sort();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_part_or_whole() {
        let name_matches = |name, pattern| super::name_matches(name, &Regex::new(pattern).unwrap());
        assert!(name_matches("web-1", "web") && name_matches("web-1", "^web"));
        assert!(name_matches("web", "^/web$") && !name_matches("web-1", "^web$"));
    }

    #[test]
    fn commands_are_quoted_as_in_docker() {
        let argv = ["sh", "-c", "echo hi"].map(str::to_owned).to_vec();
        assert_eq!(command(argv), "sh -c 'echo hi'");
        assert_eq!(command(vec!["a b".into()]), "a b");
    }

    #[test]
    fn unknown_filters_are_named() {
        let filters = Filters::from([("colour".to_owned(), vec!["red".to_owned()])]);
        assert!(check(&filters).unwrap_err().to_string().contains("colour"));
    }

    #[test]
    fn labels_choose_and_spare() {
        let labels = [("a".to_owned(), "1".to_owned())].into();
        let filters =
            |name: &str, value: &str| Filters::from([(name.to_owned(), vec![value.to_owned()])]);
        assert!(labels_pass(&labels, &Filters::new()));
        assert!(labels_pass(&labels, &filters("label", "a=1")));
        assert!(!labels_pass(&labels, &filters("label", "b")));
        assert!(!labels_pass(&labels, &filters("label!", "a")));
        assert!(labels_pass(&labels, &filters("label!", "a=2")));
    }
}
