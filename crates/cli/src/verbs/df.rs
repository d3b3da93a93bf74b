//! `system df`: how much disk everything takes.

use serde_json::{Value, json};
use types::{container::ContainerSummary, image::ImageSummary, usage::DiskUsage, volume::Volume};

use super::{Context, images, lenient::lenient, ps, volume};
use crate::{
    client::Request,
    error::Result,
    flags::{FORMAT_TABLE, Flag, Matches, switch},
    format::{ago, output, size, template, template::Document, time},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    FORMAT_TABLE,
    switch("verbose", "Show detailed information on space usage").short('v'),
];

const HEADERS: &[(&str, &str)] = &[
    ("Active", "ACTIVE"),
    ("Reclaimable", "RECLAIMABLE"),
    ("Size", "SIZE"),
    ("TotalCount", "TOTAL"),
    ("Type", "TYPE"),
];

const COLUMNS: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const VOLUME_HEADERS: &[(&str, &str)] = &[
    ("Links", "LINKS"),
    ("Name", "VOLUME NAME"),
    ("Size", "SIZE"),
];

const CACHE_HEADERS: &[(&str, &str)] = &[
    ("CacheType", "CACHE TYPE"),
    ("CreatedSince", "CREATED"),
    ("ID", "CACHE ID"),
    ("LastUsedSince", "LAST USED"),
    ("Shared", "SHARED"),
    ("Size", "SIZE"),
    ("UsageCount", "USAGE"),
];

/// What takes disk.
struct Usage {
    layers: i64,
    images: Vec<ImageSummary>,
    containers: Vec<ContainerSummary>,
    volumes: Vec<Volume>,
    /// Records of the build cache, of other daemons.
    cache: Vec<Value>,
}

/// `docker system df`.
pub(crate) async fn df(context: &Context, m: Matches) -> Result {
    let answer = Request::get("/system/df").decode(&context.client).await?;
    let told: DiskUsage = lenient(answer, "answer")?;
    let usage = Usage {
        layers: told.layers_size.unwrap_or(0),
        images: told.images.unwrap_or_default(),
        containers: told.containers.unwrap_or_default(),
        volumes: told.volumes.unwrap_or_default(),
        cache: told.build_cache.unwrap_or_default(),
    };
    let format = m.text("format");
    if m.on("verbose") {
        return output::print(&verbose(&usage, &format)?);
    }
    let rows = usage.sums();
    output::print(&template::rows(&format, COLUMNS, HEADERS, &rows)?)
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or(0)
}

/// Whether a container does, or will do, something.
fn is_active(c: &ContainerSummary) -> bool {
    ["running", "paused", "restarting"].contains(&c.state.as_str())
}

/// An amount, and its share of `total`.
fn share(bytes: i64, total: i64) -> String {
    if total > 0 {
        format!("{} ({}%)", size::human(bytes), bytes * 100 / total)
    } else {
        size::human(bytes)
    }
}

fn line(kind: &str, total: usize, active: usize, bytes: i64, reclaimable: &str) -> Value {
    json!({
        "Active": active.to_string(), "Reclaimable": reclaimable, "Size": size::human(bytes),
        "TotalCount": total.to_string(), "Type": kind,
    })
}

impl Usage {
    /// A row for each kind.
    fn sums(&self) -> Vec<Value> {
        let used: i64 = self
            .images
            .iter()
            .filter(|i| i.containers != 0 && i.size >= 0 && i.shared_size >= 0)
            .map(|i| i.size - i.shared_size)
            .sum();
        let active = self.images.iter().filter(|i| i.containers > 0).count();
        let images = line(
            "Images",
            self.images.len(),
            active,
            self.layers,
            &share(self.layers - used, self.layers),
        );

        let own = |c: &ContainerSummary| c.size_rw.unwrap_or(0);
        let all: i64 = self.containers.iter().map(own).sum();
        let rests = self.containers.iter().filter(|c| !is_active(c));
        let free: i64 = rests.map(own).sum();
        let active = self.containers.iter().filter(|c| is_active(c)).count();
        let containers = line(
            "Containers",
            self.containers.len(),
            active,
            all,
            &share(free, all),
        );

        let usages = || self.volumes.iter().filter_map(|v| v.usage_data.as_ref());
        let known = || usages().filter(|u| u.size >= 0);
        let all: i64 = known().map(|u| u.size).sum();
        let free: i64 = known().filter(|u| u.ref_count == 0).map(|u| u.size).sum();
        let active = usages().filter(|u| u.ref_count > 0).count();
        let volumes = line(
            "Local Volumes",
            self.volumes.len(),
            active,
            all,
            &share(free, all),
        );

        let in_use = |c: &&Value| c["InUse"] == true;
        let all = self.cache_size();
        let held = self.cache.iter().filter(in_use);
        let held = held.filter(|c| c["Shared"] != true);
        let held: i64 = held.map(|c| number(c, "Size")).sum();
        let active = self.cache.iter().filter(in_use).count();
        let free = size::human(all - held);
        let cache = line("Build Cache", self.cache.len(), active, all, &free);
        vec![images, containers, volumes, cache]
    }

    /// Bytes of the build cache; what records share is the images'.
    fn cache_size(&self) -> i64 {
        let own = self.cache.iter().filter(|c| c["Shared"] != true);
        own.map(|c| number(c, "Size")).sum()
    }

    fn image_rows(&self, full: bool, now: i64) -> Vec<Value> {
        // Under its first name only: each takes disk once.
        let first = |i| {
            let mut row = images::rows(i, false, full, now).into_iter().next()?;
            row["Digest"] = json!("");
            Some(row)
        };
        self.images.iter().filter_map(first).collect()
    }

    fn container_rows(&self, full: bool, now: i64) -> Vec<Value> {
        let row = |c: &ContainerSummary| {
            let mut c = c.clone();
            // The image is counted above.
            c.size_root_fs = None;
            ps::row(&c, full, now)
        };
        self.containers.iter().map(row).collect()
    }

    fn volume_rows(&self) -> Vec<Value> {
        self.volumes.iter().map(volume::row).collect()
    }

    fn cache_rows(&self, now: i64) -> Vec<Value> {
        let mut cache: Vec<&Value> = self.cache.iter().collect();
        cache.sort_by_key(|c| number(c, "Size"));
        let since = |value: &Value| match value.as_str().and_then(time::seconds) {
            Some(then) => ago::since(then, now),
            None => String::new(),
        };
        let row = |c: &Value| {
            let text = |name: &str| c[name].as_str().unwrap_or_default().to_owned();
            let id: String = text("ID").chars().take(12).collect();
            json!({
                "CacheType": text("Type"), "CreatedAt": text("CreatedAt"),
                "CreatedSince": since(&c["CreatedAt"]), "Description": text("Description"),
                "ID": if c["InUse"] == true { format!("{id}*") } else { id },
                "InUse": (c["InUse"] == true).to_string(), "LastUsedAt": text("LastUsedAt"),
                "LastUsedSince": since(&c["LastUsedAt"]), "Parent": text("Parent"),
                "Shared": (c["Shared"] == true).to_string(),
                "Size": size::human(number(c, "Size")),
                "UsageCount": number(c, "UsageCount").to_string(),
            })
        };
        cache.into_iter().map(row).collect()
    }
}

/// Every single one, by kinds.
fn verbose(usage: &Usage, format: &str) -> Result<String> {
    let now = time::now();
    let whole = !format.is_empty() && !format.starts_with("table");
    let images = usage.image_rows(whole, now);
    let containers = usage.container_rows(whole, now);
    let (volumes, cache) = (usage.volume_rows(), usage.cache_rows(now));
    if whole {
        let all = json!({
            "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": cache,
        });
        // Without a line's end, as docker's.
        let text = Document::parse("", format)?.render(&all)?;
        // Go writes the JSON of each row safe for HTML.
        return Ok(if format.contains("json") {
            template::escape(&text)
        } else {
            text
        });
    }
    let table = |columns: &str, headers: &[(&str, &str)], rows: &[Value]| {
        template::rows("", columns, headers, rows)
    };
    let images = table(
        "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
        images::HEADERS,
        &images,
    )?;
    let containers = table(
        "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
        ps::HEADERS,
        &containers,
    )?;
    let volumes = table(
        "table {{.Name}}\t{{.Links}}\t{{.Size}}",
        VOLUME_HEADERS,
        &volumes,
    )?;
    let cache = table(
        "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
        CACHE_HEADERS,
        &cache,
    )?;
    let built = size::human(usage.cache_size());
    Ok(format!(
        "Images space usage:\n\n{images}\nContainers space usage:\n\n{containers}\nLocal Volumes space usage:\n\n{volumes}\nBuild cache usage: {built}\n\n{cache}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_can_be_reclaimed() {
        let told: DiskUsage = serde_json::from_value(json!({
            "Images": [
                {"Id": "sha256:aa", "Size": 300, "SharedSize": 100, "Containers": 1},
                {"Id": "sha256:bb", "Size": 200, "SharedSize": 100, "Containers": 0},
            ],
            "Containers": [{"State": "running", "SizeRw": 30}, {"State": "exited", "SizeRw": 10}],
            "Volumes": [{"Name": "v", "UsageData": {"Size": 5, "RefCount": 0}}],
        }))
        .unwrap();
        let usage = Usage {
            layers: 400,
            images: told.images.unwrap(),
            containers: told.containers.unwrap(),
            volumes: told.volumes.unwrap(),
            cache: vec![json!({"ID": "x", "Size": 7, "InUse": true})],
        };
        let rows = usage.sums();
        let column = |name: &str| -> Vec<&str> {
            rows.iter().filter_map(|row| row[name].as_str()).collect()
        };
        assert_eq!(column("TotalCount"), ["2", "2", "1", "1"]);
        assert_eq!(column("Active"), ["1", "1", "0", "1"]);
        assert_eq!(column("Size"), ["400B", "40B", "5B", "7B"]);
        assert_eq!(
            column("Reclaimable"),
            ["200B (50%)", "10B (25%)", "5B (100%)", "0B"]
        );
    }
}
