//! The forms of answers.

use std::future::Future;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;
use types::Failure;

use crate::error::Refusal;

/// What a route answers.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

/// A value as JSON, with the line's end that Go's encoder writes.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut text = serde_json::to_string(value)
        .map_err(|error| Failure::system(format!("cannot write the answer as JSON: {error}")))?;
    text.push('\n');
    Ok(typed(status, "application/json", Body::from(text)))
}

/// A body of some media type.
pub(crate) fn typed(status: StatusCode, media: &'static str, body: Body) -> Response<Body> {
    let mut response = empty(status);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    *response.body_mut() = body;
    response
}

/// A status alone.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Runs something that changes state to its end even when its client goes away: half a start
/// would be nobody's wish.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Failure::system(format!("the request's work failed: {error}")).into()),
    }
}
