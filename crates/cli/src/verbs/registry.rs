//! `registry`: what is in registries, without pulling it. docker's command line has no such
//! verbs; `inspect` is in the shape of `docker buildx imagetools inspect`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use types::registry::{RemoteManifest, RemoteRemoved, RepositoryTags};

use super::{
    Context,
    manifest::{access, found_or},
};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, switch, text},
    format::{
        names::Reference,
        output,
        template::{Document, alias},
    },
};

const INSECURE: Flag = switch("insecure", "Also without verified TLS");

/// Flags of `registry inspect`.
pub(crate) const INSPECT: &[Flag] = &[
    text(
        "format",
        "Shape of the output: a Go template with .Name, .Manifest and .Image",
    ),
    INSECURE,
    switch("raw", "Show the manifest as it is, every byte of it"),
];

/// Flags of `registry tags`.
pub(crate) const TAGS: &[Flag] = &[INSECURE];

/// Flags of `registry rm`.
pub(crate) const RM: &[Flag] = &[
    switch(
        "force",
        "Where the registry cannot remove a tag alone, remove its manifest with all its tags",
    )
    .short('f'),
    INSECURE,
];

fn parse(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(Error::msg)
}

fn decode(name: &Reference, text: &str) -> Result<Vec<u8>> {
    let bytes = STANDARD.decode(text);
    bytes.map_err(|e| Error::msg(format!("{}: {e}", name.full())))
}

/// `os/architecture/variant`.
fn platform(value: Option<&Value>) -> String {
    let part = |name: &str| {
        let part = value.and_then(|v| v.get(name)).and_then(Value::as_str);
        part.filter(|part| !part.is_empty()).map(str::to_owned)
    };
    let parts = [part("os"), part("architecture"), part("variant")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// `wharf registry inspect`.
pub(crate) async fn inspect(context: &Context, m: Matches) -> Result {
    let (format, raw) = (m.text("format"), m.on("raw"));
    if raw && !format.is_empty() {
        return Err(Error::msg("format and raw cannot be used together"));
    }
    // Before anybody is asked.
    let document = Some(&format).filter(|f| !f.is_empty());
    let document = document.map(|f| Document::parse("", f)).transpose()?;
    let name = parse(&m.args[0])?;
    let request = Request::get(&format!("/wharf/manifests/{}", name.full()));
    let request = access(context, request, &name, m.on("insecure"))?;
    let request = request.query_on("deep", document.is_some());
    let answer = request.decode(&context.client).await;
    let found: RemoteManifest = found_or(answer, || format!("{}: not found", name.full()))?;
    let bytes = decode(&name, &found.raw)?;
    if raw {
        return output::bytes(&bytes);
    }
    let index: Value =
        serde_json::from_slice(&bytes).map_err(|e| Error::msg(format!("{}: {e}", name.full())))?;
    if let Some(document) = document {
        let shown = shown(&name, &found, &index, &format)?;
        return output::line(&document.render(&shown)?);
    }
    output::print(&plain(&name, &found, &index))
}

/// What people read.
fn plain(name: &Reference, found: &RemoteManifest, index: &Value) -> String {
    let mut out = format!(
        "Name:      {}\nMediaType: {}\nDigest:    {}\n",
        name.full(),
        found.descriptor.media_type,
        found.descriptor.digest
    );
    let Some(parts) = index.get("manifests").and_then(Value::as_array) else {
        return out;
    };
    out.push_str("           \nManifests: \n");
    for (at, part) in parts.iter().enumerate() {
        let text = |name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default();
        if at > 0 {
            out.push_str("             \n");
        }
        out.push_str(&format!(
            "  Name:        {}@{}\n  MediaType:   {}\n",
            name.full(),
            text("digest"),
            text("mediaType")
        ));
        let platform = platform(part.get("platform"));
        if !platform.is_empty() {
            out.push_str(&format!("  Platform:    {platform}\n"));
        }
        let notes = part.get("annotations").and_then(Value::as_object);
        for (at, (key, value)) in notes.into_iter().flatten().enumerate() {
            if at == 0 {
                out.push_str("  Annotations: \n");
            }
            let value = value.as_str().unwrap_or_default();
            out.push_str(&format!("    {key}: {value}\n"));
        }
    }
    out
}

/// What templates see: of an index the configurations by their platforms.
fn shown(name: &Reference, found: &RemoteManifest, index: &Value, format: &str) -> Result<Value> {
    let config = |part: &RemoteManifest| -> Result<Option<Value>> {
        let bytes = decode(name, &part.config)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let config = serde_json::from_slice(&bytes);
        config
            .map(Some)
            .map_err(|e| Error::msg(format!("{}: its configuration: {e}", name.full())))
    };
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": found.descriptor.media_type,
        "digest": found.descriptor.digest,
        "size": found.descriptor.size,
    });
    let image = match &found.manifests {
        None => config(found)?.unwrap_or(Value::Null),
        Some(parts) => {
            manifest["manifests"] = index.get("manifests").cloned().unwrap_or_default();
            let mut all = Map::new();
            for (at, part) in parts.iter().enumerate() {
                let of = index.pointer(&format!("/manifests/{at}/platform"));
                if let Some(config) = config(part)? {
                    all.insert(platform(of), config);
                }
            }
            Value::Object(all)
        }
    };
    let mut shown = json!({"name": name.full(), "manifest": manifest, "image": image});
    spell(&mut shown, format);
    Ok(shown)
}

/// Go's names of the fields, where a template has them: what is shown as JSON is spelled as the
/// documents are.
fn spell(value: &mut Value, format: &str) {
    const FIELDS: &[(&str, &str)] = &[
        ("name", "Name"),
        ("manifest", "Manifest"),
        ("image", "Image"),
        ("mediaType", "MediaType"),
        ("digest", "Digest"),
        ("size", "Size"),
        ("manifests", "Manifests"),
        ("platform", "Platform"),
        ("annotations", "Annotations"),
        ("architecture", "Architecture"),
        ("os", "OS"),
        ("variant", "Variant"),
        ("created", "Created"),
        ("config", "Config"),
    ];
    match value {
        Value::Object(members) => {
            for member in members.values_mut() {
                spell(member, format);
            }
            for (own, go) in FIELDS {
                alias(value, format, own, go);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|one| spell(one, format)),
        _ => {}
    }
}

/// `wharf registry tags`.
pub(crate) async fn tags(context: &Context, m: Matches) -> Result {
    let name = parse(&m.args[0])?;
    if name.tag.is_some() || name.digest.is_some() {
        return Err(Error::msg(format!(
            "{} is one image: write the name of a repository",
            m.args[0]
        )));
    }
    let request = Request::get(&format!("/wharf/tags/{}", name.full_name()));
    let request = access(context, request, &name, m.on("insecure"))?;
    let answer = request.decode(&context.client).await;
    let found: RepositoryTags = found_or(answer, || format!("{}: not found", name.full_name()))?;
    let lines: String = found.tags.iter().map(|tag| format!("{tag}\n")).collect();
    output::print(&lines)
}

/// `wharf registry rm`.
pub(crate) async fn rm(context: &Context, m: Matches) -> Result {
    let mut failures = Vec::new();
    for text in &m.args {
        match remove(context, text, &m).await {
            Ok(removed) => output::line(&format!("Removed: {removed}"))?,
            Err(error) => failures.push(error.to_string()),
        }
    }
    Error::lines(&failures)
}

async fn remove(context: &Context, text: &str, m: &Matches) -> Result<String> {
    let name = parse(text)?;
    if name.tag.is_none() && name.digest.is_none() {
        return Err(Error::msg(format!(
            "{text} is a whole repository: name a tag or a digest"
        )));
    }
    let request = Request::delete(&format!("/wharf/manifests/{}", name.full()));
    let request = access(context, request, &name, m.on("insecure"))?;
    let request = request.query_on("force", m.on("force"));
    let answer = request.decode(&context.client).await;
    let removed: RemoteRemoved = found_or(answer, || format!("{}: not found", name.full()))?;
    Ok(removed.removed)
}
