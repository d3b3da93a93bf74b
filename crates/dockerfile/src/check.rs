//! The checks of `build --check`: Docker's rules with their names and wording.
//!
//! Rules on how things are written are in [`writing`], those on `FROM` in [`bases`], those that
//! need to know the variables of a stage in [`stages`].

mod bases;
mod reference;
mod rules;
mod stages;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Check, Dockerfile, Patterns, Span, Variables};
use rules::Rule;

/// What a rule found.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// The rule's name.
    pub rule: &'static str,
    /// What the rule is for.
    pub description: &'static str,
    /// Where it is explained.
    pub url: Option<String>,
    /// What was found.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// Runs all rules that the file does not skip. Of base images nothing is known here, so that a
/// variable that may come from one is only told if it looks like another that the file has; see
/// [`check_with`].
#[must_use]
pub fn check(
    file: &Dockerfile,
    ignore: Option<&Patterns>,
    build_args: &BTreeMap<String, String>,
) -> Vec<Warning> {
    check_with(file, ignore, build_args, &BTreeMap::new())
}

/// As [`check`], with the environments (`NAME=value`) of base images by their names as they are
/// after expansion.
#[must_use]
pub fn check_with(
    file: &Dockerfile,
    ignore: Option<&Patterns>,
    build_args: &BTreeMap<String, String>,
    bases: &BTreeMap<String, Vec<String>>,
) -> Vec<Warning> {
    let mut found = Found::new(file, build_args);
    writing::run(file, &mut found);
    bases::run(file, &mut found);
    stages::run(file, ignore, build_args, bases, &mut found);
    found.warnings.sort_by_key(|warning| warning.span.line);
    found.warnings
}

/// The arguments before the first `FROM`, with what the build gives.
pub(crate) fn base_values(
    file: &Dockerfile,
    build_args: &BTreeMap<String, String>,
) -> impl Variables + use<> {
    bases::values(file, build_args)
}

/// The names of the images that stages stand on, for [`check_with`]: after expansion, and not those of
/// earlier stages.
#[must_use]
pub fn base_images(file: &Dockerfile, build_args: &BTreeMap<String, String>) -> BTreeSet<String> {
    let values = bases::values(file, build_args);
    let mut stages: BTreeSet<&str> = BTreeSet::from(["scratch"]);
    let mut images = BTreeSet::new();
    for stage in &file.stages {
        let image = bases::image(stage, file.directives.escape, &values);
        if !stages.contains(image.to_lowercase().as_str()) {
            images.insert(image);
        }
        stages.extend(stage.from.name.as_deref());
    }
    images
}

/// Whether what the rules find ends the build.
#[must_use]
pub fn fails(file: &Dockerfile, build_args: &BTreeMap<String, String>) -> bool {
    Found::new(file, build_args).check.error
}

/// The warning that a base image is not of the platform that was asked for, if the file does not
/// skip it; who builds calls it, as only that sees the image.
#[must_use]
pub fn base_image_platform(
    file: &Dockerfile,
    build_args: &BTreeMap<String, String>,
    (image, span): (&str, Span),
    expected: &str,
    actual: &str,
) -> Option<Warning> {
    let mut found = Found::new(file, build_args);
    found.add(
        &rules::INVALID_BASE_IMAGE_PLATFORM,
        span,
        format!(
            "Base image {image} was pulled with platform {actual:?}, expected {expected:?} for \
             current build"
        ),
    );
    found.warnings.pop()
}

/// What was found so far, without what the file skips.
struct Found {
    check: Check,
    warnings: Vec<Warning>,
}

impl Found {
    fn new(file: &Dockerfile, build_args: &BTreeMap<String, String>) -> Self {
        // As in BuildKit, an argument of the build goes before the file's own words.
        let given = build_args.get("BUILDKIT_DOCKERFILE_CHECK");
        let given = given.and_then(|text| Check::parse(text).ok());
        Self {
            check: given.unwrap_or_else(|| file.directives.check.clone()),
            warnings: Vec::new(),
        }
    }

    fn add(&mut self, rule: &Rule, span: Span, message: String) {
        let named = |list: &[String]| list.iter().any(|name| name == rule.name);
        let wanted =
            !rule.experimental || self.check.experimental_all || named(&self.check.experimental);
        if self.check.skip_all || named(&self.check.skip) || !wanted {
            return;
        }
        self.warnings.push(Warning {
            rule: rule.name,
            description: rule.description,
            url: Some(format!(
                "https://docs.docker.com/go/dockerfile/rule/{}/",
                rule.page
            )),
            message,
            span,
        });
    }
}

#[cfg(test)]
mod tests;
