//! Rules on the images and platforms of `FROM`.

use std::collections::BTreeMap;

use super::{Found, reference, rules};
use crate::{Dockerfile, Stage, Variables, expand};

/// What may be used in `FROM` without being declared.
pub(super) const PLATFORM_ARGS: [&str; 9] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
];

/// Values that are known while a file is checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(pub(super) BTreeMap<String, String>);

impl Variables for Values {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// The arguments before the first `FROM`, as if the build gave none; some value stands for what
/// only a build knows.
fn defaults(file: &Dockerfile) -> Values {
    values(file, &BTreeMap::new())
}

/// A stage's base, after expansion.
pub(super) fn image(stage: &Stage, escape: char, values: &Values) -> String {
    let image = &stage.from.image;
    expand(image, escape, values).map_or_else(|_| image.clone(), |read| read.text)
}

/// The arguments before the first `FROM`, with what the build gives; some value stands for what only
/// a build knows.
pub(super) fn values(file: &Dockerfile, build_args: &BTreeMap<String, String>) -> Values {
    let known = PLATFORM_ARGS.iter().map(|name| {
        let value = if name.ends_with("PLATFORM") {
            "linux/amd64"
        } else {
            "linux"
        };
        ((*name).to_owned(), value.to_owned())
    });
    let mut values = Values(known.collect());
    let escape = file.directives.escape;
    for argument in file.global_args.iter().flat_map(|line| &line.value) {
        if let Some(value) = build_args.get(&argument.name) {
            values.0.insert(argument.name.clone(), value.clone());
            continue;
        }
        let Some(default) = &argument.default else {
            continue;
        };
        if let Ok(read) = expand(default, escape, &values) {
            values.0.insert(argument.name.clone(), read.text);
        }
    }
    values
}

pub(super) fn run(file: &Dockerfile, found: &mut Found) {
    let values = defaults(file);
    let escape = file.directives.escape;
    let declared: Vec<&str> = file
        .global_args
        .iter()
        .flat_map(|line| line.value.iter().map(|argument| argument.name.as_str()))
        .collect();
    for stage in &file.stages {
        let words = [Some(&stage.from.image), stage.from.platform.as_ref()];
        for word in words.into_iter().flatten() {
            let unmatched = expand(word, escape, &values).map_or(Vec::new(), |read| read.unmatched);
            for name in unmatched {
                if !declared.contains(&name.as_str()) {
                    let near =
                        crate::suggest::nearest(&name, &[&declared[..], &PLATFORM_ARGS].concat());
                    let meant =
                        near.map_or(String::new(), |near| format!(" (did you mean {near}?)"));
                    found.add(
                        &rules::UNDEFINED_ARG_IN_FROM,
                        stage.span,
                        format!("FROM argument '{name}' is not declared{meant}"),
                    );
                }
            }
        }
        if let Ok(read) = expand(&stage.from.image, escape, &values)
            && !reference::is_valid(&read.text)
        {
            found.add(
                &rules::INVALID_DEFAULT_ARG_IN_FROM,
                stage.span,
                format!(
                    "Default value for ARG {} results in empty or invalid base image name",
                    stage.from.image
                ),
            );
        }
        platform(stage, found);
    }
}

fn platform(stage: &Stage, found: &mut Found) {
    let Some(platform) = stage.from.platform.as_deref() else {
        return;
    };
    if matches!(platform, "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
        found.add(
            &rules::REDUNDANT_TARGET_PLATFORM,
            stage.span,
            format!(
                "Setting platform to predefined {platform} in FROM is redundant as this is the \
                 default behavior"
            ),
        );
    }
    if platform.contains('$') {
        return;
    }
    let name = stage.from.name.as_deref().unwrap_or_default();
    let mut parts = platform.split('/').take(2);
    if !parts.any(|part| !part.is_empty() && name.contains(part)) {
        found.add(
            &rules::FROM_PLATFORM_FLAG_CONST_DISALLOWED,
            stage.span,
            format!("FROM --platform flag should not use constant value {platform:?}"),
        );
    }
}
