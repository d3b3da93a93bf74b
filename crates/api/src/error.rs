//! Failures as HTTP answers: one table from kinds to statuses, one form of body.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use types::{ErrorKind, Failure};

/// Docker's status for each kind of failure.
#[must_use]
pub fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        // A part of a request that is not supported is the request's fault, like one that Docker
        // does not know; 501 is for whole endpoints.
        ErrorKind::InvalidParameter | ErrorKind::NotImplemented => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::NotModified => StatusCode::NOT_MODIFIED,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Nobody is left to read it; the number is the one proxies use for that.
        ErrorKind::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        ErrorKind::System => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An answer that refuses: a status and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, message }
    }

    /// What Docker says of paths that it does not know, and of methods that a path does not have.
    pub(crate) fn page_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(status(failure.kind), failure.message)
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        let mut response = Self::default();
        *response.status_mut() = refusal.status;
        if refusal.status != StatusCode::NOT_MODIFIED {
            let mut body = serde_json::json!({ "message": refusal.message }).to_string();
            body.push('\n');
            *response.body_mut() = Body::from(body);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        use ErrorKind as K;
        let table = [
            (K::NotFound, 404),
            (K::InvalidParameter, 400),
            (K::Conflict, 409),
            (K::NotModified, 304),
            (K::Unauthorized, 401),
            (K::Forbidden, 403),
            (K::Unavailable, 503),
            (K::NotImplemented, 400),
            (K::Cancelled, 499),
            (K::System, 500),
        ];
        for (kind, number) in table {
            assert_eq!(status(kind).as_u16(), number, "{kind:?}");
        }
    }
}
