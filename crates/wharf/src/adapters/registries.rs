//! What is asked of registries, for the API.

use std::{collections::BTreeMap, sync::Arc};

use api::backend::{Progress as Lines, Result};
use image::{Access, Error, Platform, Progress, Reference, SearchFilters};
use types::{
    ErrorKind, Failure,
    image::{AuthAnswer, RegistryAuth, SearchResult},
    options::{Filters, yes_or_no},
    registry::{Descriptor, DistributionInspect, OciPlatform},
};

use super::{
    Images,
    images::{Steps, failure, platform, reference},
};

pub(super) async fn push(
    images: &Images,
    name: &str,
    wanted: Option<String>,
    auth: Option<RegistryAuth>,
) -> Result<Lines> {
    let (reference, platform) = (reference(name)?, platform(wanted)?);
    let (store, engine) = (images.store(), Arc::clone(&images.engine));
    Steps::run(move |reporter, cancel| async move {
        let report = |progress: Progress| reporter.line(progress.line());
        store
            .push(
                &reference,
                platform.as_ref(),
                auth.as_ref(),
                &report,
                cancel,
            )
            .await
            .map_err(failure)?;
        let name = match reference.tag() {
            Some(_) => reference.familiar(),
            None => reference.familiar_name(),
        };
        let attributes = BTreeMap::from([("name".to_owned(), reference.familiar_name())]);
        engine.events.tell("image", "push", &name, attributes);
        Ok(())
    })
    .await
}

/// Pulls all tags of a repository. One that cannot be had ends it; those before it stay.
pub(super) async fn pull_all(
    images: &Images,
    name: Reference,
    platform: Option<Platform>,
    auth: Option<RegistryAuth>,
) -> Result<Lines> {
    let (store, engine) = (images.store(), Arc::clone(&images.engine));
    Steps::run(move |reporter, cancel| async move {
        let access = Access {
            auth: auth.as_ref(),
            insecure: false,
        };
        let tags = tokio::select! {
            tags = store.tags(&name, access) => tags.map_err(failure)?,
            () = cancel.cancelled() => return Err(failure(Error::Cancelled("the pull"))),
        };
        let (report, mut newer) = (|progress: Progress| reporter.line(progress.line()), false);
        // What became of all is said once, at the end.
        let each = |progress: Progress| match progress {
            Progress::Status(text) if text.starts_with("Status: ") => {}
            progress => report(progress),
        };
        for tag in tags {
            let one = name.with_tag(&tag).map_err(Failure::invalid)?;
            let (platform, cancel) = (platform.as_ref(), cancel.clone());
            let pulled = store.pull(&one, platform, auth.as_ref(), &each, cancel);
            newer |= pulled.await.map_err(failure)?.newer;
        }
        let shown = name.familiar_name();
        report(Progress::Status(if newer {
            format!("Status: Downloaded newer image for {shown}")
        } else {
            format!("Status: Image is up to date for {shown}")
        }));
        let attributes = BTreeMap::from([("name".to_owned(), shown.clone())]);
        engine.events.tell("image", "pull", &shown, attributes);
        Ok(())
    })
    .await
}

pub(super) async fn search(
    images: &Images,
    term: &str,
    limit: usize,
    filters: &Filters,
    auth: Option<RegistryAuth>,
) -> Result<Vec<SearchResult>> {
    // Nothing is automated any more, so whoever asks for such finds nothing.
    let automated = yes_or_no(filters, "is-automated")?;
    let mut wanted = SearchFilters {
        official: yes_or_no(filters, "is-official")?,
        stars: 0,
    };
    for stars in filters.get("stars").into_iter().flatten() {
        let stars: i64 = stars
            .parse()
            .map_err(|_| Failure::invalid(format!("invalid filter 'stars={stars}'")))?;
        wanted.stars = wanted.stars.max(stars);
    }
    if automated == Some(true) {
        return Ok(Vec::new());
    }
    let store = images.store();
    let found = store.search(term, limit, wanted, auth.as_ref()).await;
    found.map_err(failure)
}

pub(super) async fn distribution(
    images: &Images,
    name: &str,
    auth: Option<RegistryAuth>,
) -> Result<DistributionInspect> {
    let reference = reference(name)?;
    let store = images.store();
    let found = store.distribution(&reference, auth.as_ref()).await;
    let found = found.map_err(|error| match error {
        // Registries that hide what they have say the same of what they do not have.
        Error::AccessDenied { .. } => Failure::new(ErrorKind::Unauthorized, error),
        error => Failure::new(error.kind(), error),
    })?;
    let platforms = found.platforms.into_iter().map(|platform| OciPlatform {
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant.unwrap_or_default(),
    });
    Ok(DistributionInspect {
        descriptor: Descriptor {
            media_type: found.media_type,
            digest: found.digest,
            size: found.size,
        },
        platforms: platforms.collect(),
    })
}

pub(super) async fn login(images: &Images, auth: &RegistryAuth) -> Result<AuthAnswer> {
    let token = images.store().login(auth).await;
    let token = token.map_err(|error| Failure::new(error.kind(), error))?;
    Ok(AuthAnswer {
        status: "Login Succeeded".to_owned(),
        identity_token: token.unwrap_or_default(),
    })
}
