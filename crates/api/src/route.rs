//! From a request's method and path to an entry of the table of endpoints. By hand, because
//! names of images contain slashes, escaped or not, and because every form of a path must end
//! at the same entry: the path is decoded once, then cut into segments.

use axum::http::StatusCode;
use types::version::ApiVersion;

use crate::{
    endpoints::{ENDPOINTS, Endpoint},
    error::Refusal,
    query::percent_decode,
};

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) endpoint: &'static Endpoint,
    pub(crate) version: ApiVersion,
    /// What stands for `{name}` or `{id}`.
    pub(crate) name: String,
}

/// Finds the endpoint for `method` and the undecoded `path`.
pub(crate) fn find(method: &str, path: &str) -> Result<Route, Refusal> {
    let path = percent_decode(path, false)
        .filter(|p| !p.contains('\0'))
        .ok_or_else(|| Refusal::bad(format!("invalid path: {path:?} is not escaped UTF-8")))?;
    let mut segments: Vec<&str> = path.split('/').skip(1).collect();
    let version = match segments.first().copied().and_then(version_prefix) {
        Some(version) => {
            segments.remove(0);
            supported(version)?
        }
        None => ApiVersion::MAX,
    };
    if segments.iter().any(|s| matches!(*s, "" | "." | "..")) {
        return Err(Refusal::page_not_found());
    }
    ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.method == method)
        .filter_map(|endpoint| Some((endpoint, matching(endpoint.path, &segments)?)))
        .max_by_key(|(endpoint, _)| literals(endpoint.path))
        .map(|(endpoint, name)| Route {
            endpoint,
            version,
            name,
        })
        .ok_or_else(Refusal::page_not_found)
}

/// `v` and digits and dots, as Docker's routes have it; anything else is a path of its own.
fn version_prefix(segment: &str) -> Option<&str> {
    let version = segment.strip_prefix('v')?;
    let fits = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    fits.then_some(version)
}

fn supported(text: &str) -> Result<ApiVersion, Refusal> {
    let (min, max) = (ApiVersion::MIN, ApiVersion::MAX);
    let version: ApiVersion = text.parse().map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("invalid API version {text:?}: it is a number such as {max}"),
        )
    })?;
    if version < min {
        return Err(Refusal::bad(format!(
            "client version {version} is too old. Minimum supported API version is {min}, \
             please upgrade your client to a newer version"
        )));
    }
    if version > max {
        return Err(Refusal::bad(format!(
            "client version {version} is too new. Maximum supported API version is {max}"
        )));
    }
    Ok(version)
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

fn literals(pattern: &str) -> usize {
    pattern.split('/').filter(|s| !is_parameter(s)).count()
}

/// The parameter's value (empty when the pattern has none) if `segments` fit `pattern`.
fn matching(pattern: &str, segments: &[&str]) -> Option<String> {
    let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
    let Some(at) = pattern.iter().position(|s| is_parameter(s)) else {
        return (pattern == segments).then(String::new);
    };
    let (before, after) = (&pattern[..at], &pattern[at + 1..]);
    let end = segments.len().checked_sub(after.len())?;
    let name = segments.get(at..end).filter(|name| !name.is_empty())?;
    (segments.starts_with(before) && segments.ends_with(after)).then(|| name.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::Op;

    fn op(method: &str, path: &str) -> (Op, String) {
        let route = find(method, path).unwrap();
        (route.endpoint.op, route.name)
    }

    #[test]
    fn names_may_contain_slashes_escaped_or_not() {
        let wanted = (Op::ImageInspect, "a.b:5000/c/d:e".to_owned());
        assert_eq!(op("GET", "/v1.41/images/a.b:5000/c/d:e/json"), wanted);
        assert_eq!(op("GET", "/images/a.b%3a5000%2Fc%2fd:e/json"), wanted);
        assert_eq!(op("GET", "/images/json").0, Op::ImageList);
        assert_eq!(op("GET", "/images/json/json").0, Op::ImageInspect);
        assert_eq!(op("POST", "/containers/create").0, Op::ContainerCreate);
        assert_eq!(op("DELETE", "/containers/json").0, Op::ContainerRemove);
    }

    #[test]
    fn tricks_with_paths_lead_nowhere() {
        for path in [
            "/",
            "/v1.51",
            "//_ping",
            "/v1.51//_ping",
            "/v1.51/v1.51/_ping",
            "/containers//json",
            "/containers/../_ping",
            "/containers/%2e%2e/json",
            "/images//json",
            "/vx/_ping",
            "/v/_ping",
            "/V1.51/_ping",
            "/_ping/",
            "/exec/json",
        ] {
            let refusal = find("GET", path).unwrap_err();
            assert_eq!(refusal, Refusal::page_not_found(), "{path}");
        }
        for path in [
            "/v1/_ping",
            "/v1.2.3/_ping",
            "/v.../_ping",
            "/%",
            "/%ff",
            "/a%00",
        ] {
            let refusal = find("GET", path).unwrap_err();
            assert_eq!(refusal.status.as_u16(), 400, "{path}");
        }
        assert!(find("PATCH", "/_ping").is_err() && find("GET", "/containers/create").is_err());
    }

    #[test]
    fn versions_outside_are_refused_in_dockers_words() {
        assert_eq!(
            find("GET", "/v1.23/_ping").unwrap_err().message,
            "client version 1.23 is too old. Minimum supported API version is 1.24, \
             please upgrade your client to a newer version"
        );
        assert_eq!(
            find("GET", "/v1.99/_ping").unwrap_err().message,
            "client version 1.99 is too new. Maximum supported API version is 1.51"
        );
        for minor in 24..=51 {
            let route = find("GET", &format!("/v1.{minor}/version")).unwrap();
            assert_eq!(route.version, ApiVersion(1, minor));
        }
    }
}
