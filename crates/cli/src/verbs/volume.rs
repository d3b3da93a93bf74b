//! `volume …`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use types::volume::{Volume, VolumeCopied, VolumeCreate, VolumeList, VolumesPruned};

use super::{Context, lenient::lenient, prune::confirmed, spec::env};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{FILTER, FORMAT, FORMAT_TABLE, Flag, Matches, checks, list, switch, text},
    format::{output, size, template},
    tty,
};

/// Flags of `create`.
pub(crate) const CREATE: &[Flag] = &[
    text("driver", "Specify volume driver name")
        .short('d')
        .default("local"),
    list("label", "Set metadata for a volume"),
    text("name", "Specify volume name").hidden(),
    list("opt", "Set driver specific options")
        .short('o')
        .value("map", checks::any),
    text(
        "availability",
        "Cluster Volume availability (\"active\", \"pause\", \"drain\")",
    )
    .only(&["", "active"]),
    text("group", "Cluster Volume group (cluster volumes)").only(&[""]),
    text("limit-bytes", "Minimum size of the Cluster Volume in bytes")
        .value("bytes", checks::any)
        .only(&["", "0"]),
    text(
        "required-bytes",
        "Maximum size of the Cluster Volume in bytes",
    )
    .value("bytes", checks::any)
    .only(&["", "0"]),
    text(
        "scope",
        "Cluster Volume access scope (\"single\", \"multi\")",
    )
    .only(&["", "single"]),
    list("secret", "Cluster Volume secrets")
        .value("map", checks::any)
        .only(&[]),
    text(
        "sharing",
        "Cluster Volume access sharing (\"none\", \"readonly\", \"onewriter\", \"all\")",
    )
    .only(&["", "none"]),
    list(
        "topology-preferred",
        "A topology that the Cluster Volume would be preferred in",
    )
    .only(&[]),
    list(
        "topology-required",
        "A topology that the Cluster Volume must be accessible from",
    )
    .only(&[]),
    text("type", "Cluster Volume access type (\"mount\", \"block\")").only(&["", "block"]),
];

/// Flags of `inspect`.
pub(crate) const INSPECT: &[Flag] = &[FORMAT];

/// Flags of `ls`.
pub(crate) const LS: &[Flag] = &[
    FILTER,
    FORMAT_TABLE,
    switch("quiet", "Only display volume names").short('q'),
    switch(
        "cluster",
        "Display only cluster volumes, and use cluster volume list formatting",
    )
    .only(&["false"]),
];

/// What `prune` has besides.
pub(crate) const PRUNE: &[Flag] =
    &[switch("all", "Remove all unused volumes, not just anonymous ones").short('a')];

/// Flags of `rm`.
pub(crate) const RM: &[Flag] =
    &[switch("force", "Force the removal of one or more volumes").short('f')];

/// Flags of `update`.
pub(crate) const UPDATE: &[Flag] = &[text(
    "availability",
    "Cluster Volume availability (\"active\", \"pause\", \"drain\")",
)
.default("active")];

/// Flags of `import`.
pub(crate) const IMPORT: &[Flag] = &[text(
    "limit",
    "Refuse an archive that unpacks to more bytes [default: what the disk has room for]",
)
.value("bytes", checks::bytes)];

/// Flags of `snapshot` and `clone`.
pub(crate) const COPY: &[Flag] = &[switch("quiet", "Show only the new volume's name").short('q')];

const HEADERS: &[(&str, &str)] = &[
    ("Availability", "AVAILABILITY"),
    ("Driver", "DRIVER"),
    ("Group", "GROUP"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
];

const COLUMNS: &str = "table {{.Driver}}\t{{.Name}}";

/// `docker volume create`.
pub(crate) async fn create(context: &Context, m: Matches) -> Result {
    let mut driver_opts = BTreeMap::new();
    for text in m.all("opt") {
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        driver_opts.insert(name.to_owned(), value.to_owned());
    }
    let name = match (m.text("name"), m.args.first()) {
        (named, None) => named,
        (named, Some(argument)) if named.is_empty() => argument.clone(),
        _ => {
            return Err(Error::msg(
                "conflicting options: cannot specify a volume-name through both --name and as a \
                 positional arg",
            ));
        }
    };
    let request = VolumeCreate {
        name,
        driver: m.get("driver").unwrap_or("local").to_owned(),
        driver_opts,
        labels: env::labels(&[], &m.all("label"))?,
        cluster_volume_spec: None,
    };
    let answer = Request::post("/volumes/create").json(&request);
    let made: Volume = lenient(answer.decode(&context.client).await?, "answer")?;
    output::line(&made.name)
}

/// `docker volume ls`.
pub(crate) async fn ls(context: &Context, m: Matches) -> Result {
    let request = Request::get("/volumes").filters(&m.all("filter"));
    let told: VolumeList = lenient(request.decode(&context.client).await?, "answer")?;
    let mut volumes = told.volumes;
    volumes.sort_by(|a, b| natural(&a.name, &b.name));
    let format = match m.get("format") {
        Some(format) => format.to_owned(),
        None if m.on("quiet") => "{{.Name}}".to_owned(),
        None => context.config.text("volumesFormat"),
    };
    let format = match format.as_str() {
        "table" if m.on("quiet") => "{{.Name}}",
        "raw" if m.on("quiet") => "name: {{.Name}}",
        "raw" => "name: {{.Name}}\ndriver: {{.Driver}}\n",
        format => format,
    };
    let rows: Vec<Value> = volumes.iter().map(row).collect();
    output::print(&template::rows(format, COLUMNS, HEADERS, &rows)?)?;
    for warning in told.warnings.into_iter().flatten() {
        output::complain(&format!("WARNING: {warning}"));
    }
    Ok(())
}

/// As lists show it.
pub(super) fn row(v: &Volume) -> Value {
    let known = v.usage_data.as_ref();
    let bytes = known.map_or("N/A".to_owned(), |u| size::human(u.size));
    let links = known.map_or("N/A".to_owned(), |u| u.ref_count.to_string());
    let labels: Vec<String> = v
        .labels
        .iter()
        .flatten()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    json!({
        "Availability": "N/A", "Driver": v.driver, "Group": "N/A",
        "Labels": labels.join(","), "Links": links, "Mountpoint": v.mountpoint,
        "Name": v.name, "Scope": v.scope, "Size": bytes, "Status": "N/A",
    })
}

/// Digits by what they count: `v9` before `v10`.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let parts = |text: &str| {
        let mut all: Vec<(u128, String)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count().min(38);
            let (number, after) = rest.split_at(digits);
            let word = after
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(after.len());
            let (word, after) = after.split_at(word);
            all.push((number.parse().unwrap_or(0), word.to_owned()));
            rest = after;
        }
        all
    };
    parts(a).cmp(&parts(b)).then_with(|| a.cmp(b))
}

/// `docker volume rm`.
pub(crate) async fn rm(context: &Context, m: Matches) -> Result {
    let mut failures = Vec::new();
    for name in &m.args {
        let request = Request::delete(&format!("/volumes/{name}")).query_on("force", m.on("force"));
        match request.done(&context.client).await {
            Ok(()) => output::line(name)?,
            Err(e) => failures.push(e.to_string()),
        }
    }
    Error::lines(&failures)
}

/// `docker volume update`: for volumes of a cluster, which no volume here is.
pub(crate) async fn update(context: &Context, m: Matches) -> Result {
    let name = m.args.first().map_or("", String::as_str);
    let _there: Volume = lenient(
        Request::get(&format!("/volumes/{name}"))
            .decode(&context.client)
            .await?,
        "answer",
    )?;
    Err(Error::msg("can only update cluster volumes"))
}

/// `docker volume prune`.
pub(crate) async fn prune(context: &Context, m: Matches) -> Result {
    let mut filters = m.all("filter");
    let warning = if m.on("all") {
        if filters.iter().any(|f| f.starts_with("all=")) {
            return Err(Error::msg(
                "conflicting options: cannot specify both --all and --filter all=1",
            ));
        }
        filters.push("all=true".to_owned());
        "WARNING! This will remove all local volumes not used by at least one container."
    } else {
        "WARNING! This will remove anonymous local volumes not used by at least one container."
    };
    if !m.on("force") && !confirmed(warning)? {
        return Ok(());
    }
    let request = Request::post("/volumes/prune").filters(&filters);
    let pruned: VolumesPruned = lenient(request.decode(&context.client).await?, "answer")?;
    if !pruned.volumes_deleted.is_empty() {
        output::print(&format!(
            "Deleted Volumes:\n{}\n\n",
            pruned.volumes_deleted.join("\n")
        ))?;
    }
    let bytes = size::human(pruned.space_reclaimed);
    output::line(&format!("Total reclaimed space: {bytes}"))
}

/// `volume import`.
pub(crate) async fn import(context: &Context, m: Matches) -> Result {
    let mut request = Request::put(&format!("/wharf/volumes/{}/archive", m.args[0]));
    if let Some(limit) = m.get("limit") {
        let bytes = size::parse(limit).map_err(Error::msg)?;
        request = request.query("limit", &bytes.to_string());
    }
    let request = match m.args.get(1).map(String::as_str) {
        None | Some("-") => {
            if tty::is_terminal(std::io::stdin()) {
                return Err(Error::msg(
                    "requested import from stdin, but stdin is empty",
                ));
            }
            request.stream(tokio::io::stdin())
        }
        Some(path) => {
            let file = tokio::fs::File::open(path).await;
            request.stream(file.map_err(|e| Error::file("open", path, &e))?)
        }
    };
    let made: Volume = lenient(request.decode(&context.client).await?, "answer")?;
    output::line(&made.name)
}

/// `volume snapshot`.
pub(crate) async fn snapshot(context: &Context, m: Matches) -> Result {
    copy(context, m, true).await
}

/// `volume clone`.
pub(crate) async fn clone(context: &Context, m: Matches) -> Result {
    copy(context, m, false).await
}

async fn copy(context: &Context, m: Matches, snapshot: bool) -> Result {
    let new = m.args.get(1).map_or("", String::as_str);
    let request = Request::post(&format!("/wharf/volumes/{}/copy", m.args[0]))
        .query_text("name", new)
        .query_on("snapshot", snapshot);
    let made: VolumeCopied = lenient(request.decode(&context.client).await?, "answer")?;
    output::line(&made.name)?;
    if !m.on("quiet") {
        output::complain(&told(&made));
    }
    for warning in &made.warnings {
        output::complain(&format!("WARNING: {warning}"));
    }
    Ok(())
}

/// What was done, for people.
fn told(made: &VolumeCopied) -> String {
    let bytes = size::human(i64::try_from(made.bytes).unwrap_or(i64::MAX));
    let how = if made.shared {
        format!("{bytes} shared with the original")
    } else {
        format!("{bytes} copied, as the file system cannot share them")
    };
    match made.paused.as_slice() {
        [] => how,
        names => format!("{how}; meanwhile paused: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = vec!["v10", "v9", "a", "v9b", "10", "9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "v9", "v9b", "v10", "9", "10"]);
    }

    #[test]
    fn what_was_done_is_told() {
        let made = VolumeCopied {
            bytes: 1_500_000,
            paused: vec!["db".to_owned()],
            ..VolumeCopied::default()
        };
        assert_eq!(
            told(&made),
            "1.5MB copied, as the file system cannot share them; meanwhile paused: db"
        );
    }
}
