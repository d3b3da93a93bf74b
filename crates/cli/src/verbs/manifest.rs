//! `manifest`: lists of manifests, drafted here and put up in a registry. docker's command line
//! speaks to registries by itself; ours has the daemon ask them.

mod document;
mod drafts;
mod remote;

use std::collections::BTreeSet;

use types::registry::{IndexPart, IndexPut, IndexPutAnswer};

use super::Context;
use crate::{
    error::{Error, Result},
    flags::{Flag, Matches, checks, list, switch, text},
    format::{names::Reference, output},
};
use document::{Draft, Platform, list_of};
use drafts::Drafts;

pub(crate) use remote::{access, found_or};

const INSECURE: Flag = switch("insecure", "Allow communication with an insecure registry");

/// Flags of `manifest create`.
pub(crate) const CREATE: &[Flag] = &[
    switch("amend", "Amend an existing manifest list").short('a'),
    INSECURE,
];

/// Flags of `manifest inspect`.
pub(crate) const INSPECT: &[Flag] = &[
    INSECURE,
    switch(
        "verbose",
        "Output additional info including layers and platform",
    )
    .short('v'),
];

/// Flags of `manifest annotate`.
pub(crate) const ANNOTATE: &[Flag] = &[
    text("arch", "Set architecture"),
    text("os", "Set operating system"),
    list("os-features", "Set operating system feature").value("strings", checks::any),
    text("os-version", "Set operating system version"),
    text("variant", "Set architecture variant"),
];

/// Flags of `manifest push`.
pub(crate) const PUSH: &[Flag] = &[
    switch("insecure", "Allow push to an insecure registry"),
    switch("purge", "Remove the local manifest list after push").short('p'),
];

/// A name with its tag, or by its digest.
fn named(text: &str) -> Result<Reference> {
    let mut reference = Reference::parse(text).map_err(Error::msg)?;
    if reference.tag.is_none() && reference.digest.is_none() {
        reference.tag = Some("latest".to_owned());
    }
    Ok(reference)
}

fn named_in(text: &str, what: &str) -> Result<Reference> {
    named(text).map_err(|e| Error::msg(format!("{what} {text}: {e}")))
}

/// `docker manifest create`.
pub(crate) async fn create(context: &Context, m: Matches) -> Result {
    let target = named_in(&m.args[0], "error parsing name for manifest list")?;
    let drafts = Drafts::of(&context.config);
    if drafts.list(&target)?.is_some() && !m.on("amend") {
        return Err(Error::msg(
            "refusing to amend an existing manifest list with no --amend flag",
        ));
    }
    for name in &m.args[1..] {
        let name = named(name)?;
        let draft = match drafts.get(&target, &name)? {
            Some(draft) if !draft.raw.is_empty() => draft,
            _ => remote::image(context, &name, m.on("insecure")).await?,
        };
        drafts.save(&target, &name, &draft)?;
    }
    output::line(&format!("Created manifest list {}", target.full()))
}

/// `docker manifest annotate`.
pub(crate) async fn annotate(context: &Context, m: Matches) -> Result {
    let (list, image) = (&m.args[0], &m.args[1]);
    let target = named_in(list, "annotate: error parsing name for manifest list")?;
    let name = named_in(image, "annotate: error parsing name for manifest")?;
    let drafts = Drafts::of(&context.config);
    let mut draft = drafts.get(&target, &name)?.ok_or_else(|| {
        Error::msg(format!(
            "manifest for image {image} does not exist in {list}"
        ))
    })?;
    let mut platform = draft.platform().cloned().unwrap_or_default();
    let set = |value: &mut String, flag: &str| {
        if let Some(given) = m.get(flag).filter(|given| !given.is_empty()) {
            given.clone_into(value);
        }
    };
    set(&mut platform.os, "os");
    set(&mut platform.architecture, "arch");
    set(&mut platform.variant, "variant");
    set(&mut platform.os_version, "os-version");
    for feature in m.all("os-features") {
        for feature in feature.split(',') {
            if !platform.os_features.iter().any(|known| known == feature) {
                platform.os_features.push(feature.to_owned());
            }
        }
    }
    if !platform.is_known() {
        return Err(Error::msg(format!(
            "manifest entry for image has unsupported os/arch combination: {}/{}",
            m.text("os"),
            m.text("arch")
        )));
    }
    draft.descriptor.platform = Some(platform);
    drafts.save(&target, &name, &draft)
}

/// `docker manifest inspect`.
pub(crate) async fn inspect(context: &Context, m: Matches) -> Result {
    let verbose = m.on("verbose");
    let drafts = Drafts::of(&context.config);
    if let [list, image] = m.args.as_slice() {
        let (list, image) = (named(list)?, named(image)?);
        let draft = drafts.get(&list, &image)?;
        return show(&draft.ok_or_else(|| missing(&image))?, verbose);
    }
    let name = named(&m.args[0])?;
    if let Some(list) = drafts.list(&name)? {
        return show_list(&list, verbose);
    }
    match remote::either(context, &name, m.on("insecure")).await? {
        remote::Found::Image(draft) => show(&draft, verbose),
        remote::Found::List(list) => show_list(&list, verbose),
    }
}

fn missing(name: &Reference) -> Error {
    Error::msg(format!("No such manifest: {}", name.full()))
}

fn show(draft: &Draft, verbose: bool) -> Result {
    output::line(&if verbose {
        document::tabs(&serde_json::to_string(draft).unwrap_or_default())
    } else {
        document::tabs(&String::from_utf8_lossy(&draft.bytes()?))
    })
}

fn show_list(list: &[Draft], verbose: bool) -> Result {
    if verbose {
        let all = serde_json::to_string(list).unwrap_or_default();
        return output::line(&document::tabs(&all));
    }
    output::line(&list_of(list)?.1)
}

/// `docker manifest push`.
pub(crate) async fn push(context: &Context, m: Matches) -> Result {
    let target = named(&m.args[0])?;
    let drafts = Drafts::of(&context.config);
    let list = drafts.list(&target)?.ok_or_else(|| missing(&target))?;
    if list.is_empty() {
        return Err(Error::msg(format!("{} not found", target.full())));
    }
    let (mut parts, mut seen) = (Vec::new(), BTreeSet::new());
    for draft in &list {
        let platform = draft.platform().cloned().unwrap_or_else(Platform::default);
        if platform.os.is_empty() || platform.architecture.is_empty() {
            return Err(Error::msg(format!(
                "manifest {} must have an OS and Architecture to be pushed to a registry",
                draft.reference
            )));
        }
        let source = named(&draft.reference)?;
        if source.domain != target.domain {
            return Err(Error::msg(format!(
                "cannot use source images from a different registry than the target image: \
                 {} != {}",
                source.domain, target.domain
            )));
        }
        if source.path != target.path && seen.insert(&draft.descriptor.digest) {
            parts.push(IndexPart {
                repository: source.path,
                media_type: draft.descriptor.media_type.clone(),
                raw: draft.raw.clone(),
            });
        }
    }
    let (media_type, text) = list_of(&list)?;
    let put = IndexPut {
        media_type: media_type.to_owned(),
        raw: document::encode(text.as_bytes()),
        parts,
    };
    let request = access(
        context,
        crate::client::Request::put(&format!("/wharf/manifests/{}", target.full())),
        &target,
        m.on("insecure"),
    )?;
    let answer = request.json(&put).decode(&context.client).await;
    let answer: IndexPutAnswer = found_or(answer, || "the registry has no such repository".into())?;
    for digest in &answer.parts {
        let name = target.full_name();
        output::line(&format!("Pushed ref {name}@{digest} with digest: {digest}"))?;
    }
    output::line(&answer.digest)?;
    if m.on("purge") {
        drafts.remove(&target)?;
    }
    Ok(())
}

/// `docker manifest rm`.
pub(crate) async fn rm(context: &Context, m: Matches) -> Result {
    let drafts = Drafts::of(&context.config);
    let mut failures = Vec::new();
    for name in &m.args {
        let removed = named(name).and_then(|target| match drafts.list(&target)? {
            Some(_) => drafts.remove(&target),
            None => Err(missing(&target)),
        });
        if let Err(error) = removed {
            failures.push(error.to_string());
        }
    }
    Error::lines(&failures)
}
