//! Bodies of requests: JSON within bounds, and streams of bytes.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{backend, error::Refusal, json};

/// No JSON that a client sends is near this.
pub(crate) const LIMIT: usize = 4 * 1024 * 1024;
/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the headers announce a body.
pub(crate) fn announced(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0")
}

/// The request's body as JSON; `None` when it is empty.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<T>, Refusal> {
    check_type(headers)?;
    let bytes = read(body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let value = json::parse(&bytes).map_err(Refusal::bad)?;
    // Go takes it for an object of which nothing is said.
    let value = if value.is_null() {
        Value::Object(serde_json::Map::new())
    } else {
        value
    };
    // A list would do for serde, its elements in place of the members.
    if !value.is_object() {
        return Err(Refusal::bad("invalid JSON: the body must be an object"));
    }
    json::from_value(value).map(Some).map_err(Refusal::bad)
}

/// What Docker says where it needs a body and finds none.
pub(crate) fn missing() -> Refusal {
    Refusal::bad("invalid JSON: got EOF while reading request body")
}

fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE);
    if kind.is_none() && !announced(headers) {
        return Ok(());
    }
    let text = kind
        .map_or(Some(""), |kind| kind.to_str().ok())
        .unwrap_or("?");
    let media = text.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "unsupported Content-Type header ({text}): must be 'application/json'"
    )))
}

/// All of it, within bounds of size and time.
pub(crate) async fn read(body: Body) -> Result<Bytes, Refusal> {
    read_up_to(body, LIMIT).await
}

/// All of it, of at most `limit` bytes, within bounds of time.
pub(crate) async fn read_up_to(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let collect = async {
        let mut stream = body.into_data_stream();
        let mut all = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk =
                chunk.map_err(|error| Refusal::bad(format!("cannot read the body: {error}")))?;
            if all.len() + chunk.len() > limit {
                return Err(Refusal::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the request's body is too large: at most {limit} bytes are read"),
                ));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    };
    tokio::time::timeout(PATIENCE, collect)
        .await
        .unwrap_or_else(|_| {
            Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the request's body did not arrive within {PATIENCE:?}"),
            ))
        })
}

/// The request's body as it arrives.
pub(crate) fn stream(body: Body) -> backend::Body {
    body.into_data_stream()
        .map(|chunk| chunk.map_err(io::Error::other))
        .boxed()
}
