//! What is asked of registries, for the API.

use std::{collections::BTreeMap, sync::Arc};

use api::backend::{Progress as Lines, Result};
use image::{Error, Progress, SearchFilters};
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
