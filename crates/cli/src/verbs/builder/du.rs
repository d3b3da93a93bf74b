//! `builder du`: what the build cache holds.

use serde_json::{Value, json};
use types::build::Record;

use super::{super::Context, MUTABLE, unused_for};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, list, switch, text},
    format::{ago, output, size, template, time},
    verbs::lenient::items,
};

/// Its flags.
pub(crate) const DU: &[Flag] = &[
    list(
        "filter",
        "Provide filter values (id=, type=, until=, inuse=, shared=, mutable=)",
    )
    .value("filter", checks::filter),
    text(
        "format",
        "Shape of the output: 'table' (the default), 'json', or a Go template for each record",
    ),
    switch("verbose", "Shows detailed cache information"),
];

const HEADERS: &[(&str, &str)] = &[
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Description", "DESCRIPTION"),
    ("ID", "ID"),
    ("LastUsedAt", "LAST USED AT"),
    ("LastUsedSince", "LAST ACCESSED"),
    ("Mutable", "MUTABLE"),
    ("Reclaimable", "RECLAIMABLE"),
    ("Shared", "SHARED"),
    ("Size", "SIZE"),
    ("Type", "TYPE"),
    ("UsageCount", "USAGE COUNT"),
];

/// `docker buildx du`.
pub(crate) async fn du(context: &Context, m: Matches) -> Result {
    let answer: Vec<Value> = Request::get("/wharf/build/records")
        .decode(&context.client)
        .await?;
    let mut records: Vec<Record> = items(answer)?;
    let now = time::now();
    for filter in m.all("filter") {
        let keep = filter_of(&filter, now)?;
        records.retain(|record| keep(record));
    }
    // The largest first.
    records.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let format = m.text("format");
    if !format.is_empty() && format != "table" {
        let rows: Vec<Value> = records.iter().map(|r| row(r, now)).collect();
        return output::print(&template::rows(&format, "", HEADERS, &rows)?);
    }
    if m.on("verbose") {
        let all: String = records.iter().map(|r| verbose(r, now)).collect();
        return output::print(&(all + &summary(&records)));
    }
    output::print(&(table(&records, now) + &summary(&records)))
}

fn is_mutable(record: &Record) -> bool {
    MUTABLE.contains(&record.kind.as_str())
}

type Keep = Box<dyn Fn(&Record) -> bool>;

fn filter_of(text: &str, now: i64) -> Result<Keep> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.trim_start_matches('=').to_owned();
    let switch = |value: &str| {
        types::boolean::parse(if value.is_empty() { "true" } else { value })
            .ok_or_else(|| Error::msg(format!("ERROR: invalid filter {text}: it is yes or no")))
    };
    Ok(match name {
        "id" => Box::new(move |r| r.id == value || r.id.starts_with(&value)),
        "type" => Box::new(move |r| r.kind == value),
        "description" => Box::new(move |r| r.description == value),
        "parents" | "parent" => Box::new(move |r| r.parents.contains(&value)),
        "until" => {
            let age = unused_for(&value)?;
            Box::new(move |r| {
                let used = r.last_used_at.as_deref().unwrap_or(&r.created_at);
                time::seconds(used).is_some_and(|used| now - used >= age)
            })
        }
        "inuse" => {
            let on = switch(&value)?;
            Box::new(move |r| r.in_use == on)
        }
        "shared" => {
            let on = switch(&value)?;
            Box::new(move |r| r.shared == on)
        }
        "private" => {
            let on = switch(&value)?;
            Box::new(move |r| r.shared != on)
        }
        "mutable" => {
            let on = switch(&value)?;
            Box::new(move |r| is_mutable(r) == on)
        }
        other => {
            return Err(Error::msg(format!(
                "ERROR: filter {other} is not supported by wharf yet"
            )));
        }
    })
}

fn since(text: &str, now: i64) -> String {
    time::seconds(text).map_or_else(String::new, |then| ago::since(then, now))
}

fn last_used(record: &Record, now: i64) -> String {
    record
        .last_used_at
        .as_deref()
        .map_or_else(String::new, |at| since(at, now))
}

fn row(record: &Record, now: i64) -> Value {
    json!({
        "CreatedAt": record.created_at,
        "CreatedSince": since(&record.created_at, now),
        "Description": record.description,
        "ID": record.id,
        "LastUsedAt": record.last_used_at.clone().unwrap_or_default(),
        "LastUsedSince": last_used(record, now),
        "Mutable": is_mutable(record),
        "Parents": record.parents,
        "Reclaimable": !record.in_use,
        "Shared": record.shared,
        "Size": size::human(record.size),
        "Type": record.kind,
        "UsageCount": record.usage_count,
    })
}

fn table(records: &[Record], now: i64) -> String {
    let cells = |record: &Record| {
        let star = |on: bool| if on { "*" } else { "" };
        [
            format!("{}{}", record.id, star(is_mutable(record))),
            (!record.in_use).to_string(),
            format!("{}{}", size::human(record.size), star(record.shared)),
            last_used(record, now),
        ]
    };
    let header = ["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(header)
        .chain(records.iter().map(cells))
        .collect();
    // docker's columns, wider where an identifier is.
    let first = rows.iter().map(|r| r[0].len()).max().unwrap_or(0).max(40) + 8;
    rows.iter()
        .map(|[id, free, size, used]| {
            format!("{id:<first$}{free:<16}{size:<16}{used}")
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
}

fn verbose(record: &Record, now: i64) -> String {
    let mut lines = vec![("ID", record.id.clone())];
    if !record.parents.is_empty() {
        lines.push(("Parent", record.parents.join(",")));
    }
    lines.push(("Created at", record.created_at.clone()));
    lines.push(("Mutable", is_mutable(record).to_string()));
    lines.push(("Reclaimable", (!record.in_use).to_string()));
    lines.push(("Shared", record.shared.to_string()));
    lines.push(("Size", size::human(record.size)));
    if !record.description.is_empty() {
        lines.push(("Description", record.description.clone()));
    }
    lines.push(("Usage count", record.usage_count.to_string()));
    if record.last_used_at.is_some() {
        lines.push(("Last used", last_used(record, now)));
    }
    if !record.kind.is_empty() {
        lines.push(("Type", record.kind.clone()));
    }
    let text: String = lines
        .iter()
        .map(|(name, value)| format!("{:<16}{value}\n", format!("{name}:")))
        .collect();
    text + "\n"
}

fn summary(records: &[Record]) -> String {
    let sum =
        |test: fn(&&Record) -> bool| -> i64 { records.iter().filter(test).map(|r| r.size).sum() };
    let (shared, total) = (sum(|r| r.shared), sum(|_| true));
    let mut lines = Vec::new();
    if shared > 0 {
        lines.push(("Shared:", shared));
        lines.push(("Private:", total - shared));
    }
    lines.push(("Reclaimable:", sum(|r| !r.in_use)));
    lines.push(("Total:", total));
    lines
        .iter()
        .map(|(name, bytes)| format!("{name:<16}{}\n", size::human(*bytes)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        serde_json::from_value(json!([
            {"ID": "a", "Type": "regular", "Description": "[1/2] RUN x", "Size": 2000,
             "InUse": true, "Shared": true, "CreatedAt": "2026-01-01T00:00:00Z",
             "LastUsedAt": "2026-01-01T01:00:00Z", "UsageCount": 3, "Parents": []},
            {"ID": "b", "Type": "exec.cachemount", "Size": 1000, "InUse": false,
             "CreatedAt": "2026-01-01T00:00:00Z", "Parents": ["a"]},
        ]))
        .unwrap()
    }

    #[test]
    fn records_are_told_as_buildx_does() {
        let now = time::seconds("2026-01-01T03:00:00Z").unwrap();
        let text = table(&records(), now) + &summary(&records());
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1], ["a", "false", "2kB*", "2", "hours", "ago"]);
        assert_eq!(lines[2], ["b*", "true", "1kB"]);
        assert_eq!(
            lines[3..],
            [
                ["Shared:", "2kB"],
                ["Private:", "1kB"],
                ["Reclaimable:", "1kB"],
                ["Total:", "3kB"]
            ]
        );
        assert!(
            verbose(&records()[0], now)
                .contains("Usage count:    3\nLast used:      2 hours ago\n")
        );
    }

    #[test]
    fn filters_keep_what_they_say() {
        let now = time::seconds("2026-01-02T00:30:00Z").unwrap();
        let kept = |filter: &str| -> Vec<String> {
            let keep = filter_of(filter, now).unwrap();
            records()
                .into_iter()
                .filter(|r| keep(r))
                .map(|r| r.id)
                .collect()
        };
        assert_eq!(kept("type=regular"), ["a"]);
        assert_eq!(kept("until=24h"), ["b"]);
        assert_eq!(kept("inuse"), ["a"]);
        assert_eq!(kept("mutable=true"), ["b"]);
        let Err(error) = filter_of("nosuch=1", now) else {
            panic!("there is no such filter");
        };
        assert!(error.to_string().contains("nosuch"));
    }
}
