//! Requests and their answers.

use std::{cell::Cell, fmt::Write};

use base64::Engine;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, Response, StatusCode, body::Frame, body::Incoming, client::conn::http1::SendRequest,
    header::HeaderValue,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{io::AsyncRead, sync::mpsc};

use super::{Client, Error, conn::Body};

pub(super) enum Payload {
    Empty,
    Whole(Bytes),
    Stream(Cell<Option<Body>>),
}

/// A request to the daemon.
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    query: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Payload,
}

/// `text` as it may stand in a path or query.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b'@')
        {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

impl Request {
    fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: escape(path),
            query: String::new(),
            headers: Vec::new(),
            body: Payload::Empty,
        }
    }

    /// `GET path`, the path not yet escaped.
    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// `POST path`.
    pub(crate) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    /// `PUT path`.
    pub(crate) fn put(path: &str) -> Self {
        Self::new(Method::PUT, path)
    }

    /// `HEAD path`.
    pub(crate) fn head(path: &str) -> Self {
        Self::new(Method::HEAD, path)
    }

    /// `DELETE path`.
    pub(crate) fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query
            .push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(name);
        self.query.push('=');
        self.query.push_str(&escape(value));
        self
    }

    /// Adds a parameter if it says something.
    pub(crate) fn query_text(self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            self
        } else {
            self.query(name, value)
        }
    }

    /// Adds a parameter if it is on.
    pub(crate) fn query_on(self, name: &str, on: bool) -> Self {
        if on { self.query(name, "1") } else { self }
    }

    /// Adds `filters=` from docker's `name=value` pairs.
    pub(crate) fn filters(self, filters: &[String]) -> Self {
        let mut map = serde_json::Map::new();
        for (name, value) in filters.iter().filter_map(|f| f.split_once('=')) {
            let name = name.trim().to_lowercase();
            if let Value::Object(values) = map
                .entry(name)
                .or_insert_with(|| Value::Object(serde_json::Map::new()))
            {
                values.insert(value.trim().to_owned(), Value::Bool(true));
            }
        }
        if map.is_empty() {
            self
        } else {
            self.query("filters", &Value::Object(map).to_string())
        }
    }

    /// Adds `platform` as the newer endpoints want it: as JSON where its parts are clear.
    pub(crate) fn query_platform(self, platform: &str) -> Self {
        let parts: Vec<_> = platform.split('/').collect();
        let value = match parts.as_slice() {
            [os, architecture] => serde_json::json!({"architecture": architecture, "os": os}),
            [os, architecture, variant] => {
                serde_json::json!({"architecture": architecture, "os": os, "variant": variant})
            }
            _ => return self.query_text("platform", platform),
        };
        self.query("platform", &value.to_string())
    }

    /// Sets a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets `X-Registry-Auth`.
    pub(crate) fn registry_auth(self, auth: Option<&types::image::RegistryAuth>) -> Self {
        match auth.and_then(|a| serde_json::to_vec(a).ok()) {
            Some(json) => {
                let text = base64::engine::general_purpose::URL_SAFE.encode(json);
                self.header("x-registry-auth", text)
            }
            None => self,
        }
    }

    /// Sends `value` as the body.
    pub(crate) fn json<T: Serialize>(mut self, value: &T) -> Self {
        // Our own types always serialise; an empty body is refused by the daemon, not by us.
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        self.body = Payload::Whole(bytes.into());
        self.header("content-type", "application/json")
    }

    /// Sends what `reader` gives as the body.
    pub(crate) fn stream(mut self, reader: impl AsyncRead + Send + 'static) -> Self {
        use futures_util::StreamExt;
        let frames = tokio_util::io::ReaderStream::with_capacity(reader, 1 << 16)
            .map(|chunk| chunk.map(Frame::data));
        let body = StreamBody::new(frames).boxed_unsync();
        self.body = Payload::Stream(Cell::new(Some(body)));
        self.header("content-type", "application/x-tar")
    }

    /// Sends the pieces that come as the body; one that is an error breaks it off.
    pub(crate) fn pieces(mut self, mut pieces: mpsc::Receiver<std::io::Result<Bytes>>) -> Self {
        use futures_util::StreamExt;
        let frames = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx))
            .map(|piece| piece.map(Frame::data));
        let body = StreamBody::new(frames).boxed_unsync();
        self.body = Payload::Stream(Cell::new(Some(body)));
        self.header("content-type", "application/octet-stream")
    }

    pub(super) fn path_and_query(&self) -> String {
        format!("{}{}", self.path, self.query)
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Sends it; an answer that is no success is an error.
    pub(crate) async fn send(self, client: &Client) -> Result<Answer<'_>, Error> {
        let (response, connection) = client.send(&self).await?;
        let answer = Answer {
            client,
            what: self.name(),
            response,
            connection: Some(connection),
            rest: BytesMut::new(),
            ended: false,
        };
        let status = answer.response.status();
        if status.is_success()
            || status == StatusCode::SWITCHING_PROTOCOLS
            || status == StatusCode::NOT_MODIFIED
        {
            Ok(answer)
        } else {
            Err(answer.refusal().await)
        }
    }

    /// Sends it and waits for the end of an answer that does not matter.
    pub(crate) async fn done(self, client: &Client) -> Result<(), Error> {
        self.send(client).await?.bytes().await.map(drop)
    }

    /// Sends it and decodes the answer.
    pub(crate) async fn decode<T: DeserializeOwned>(self, client: &Client) -> Result<T, Error> {
        let answer = self.send(client).await?;
        let what = answer.what.clone();
        let bytes = answer.bytes().await?;
        decode(&what, &bytes)
    }

    /// Sends it and takes the connection over.
    pub(crate) async fn hijack(
        self,
        client: &Client,
    ) -> Result<TokioIo<hyper::upgrade::Upgraded>, Error> {
        let request = self
            .header("connection", "Upgrade")
            .header("upgrade", "tcp");
        let answer = request.send(client).await?;
        if answer.response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Garbled {
                what: answer.what,
                why: format!(
                    "unable to upgrade to tcp, received {}",
                    answer.response.status().as_u16()
                ),
            });
        }
        let what = answer.what.clone();
        let upgraded = hyper::upgrade::on(answer.response)
            .await
            .map_err(|e| Error::Broken {
                what,
                why: e.to_string(),
            })?;
        Ok(TokioIo::new(upgraded))
    }
}

/// `null` members where the daemon is written in Go stand for a field's zero value.
fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Error> {
    let garbled = |e: serde_json::Error| Error::Garbled {
        what: what.to_owned(),
        why: e.to_string(),
    };
    serde_json::from_slice(bytes).map_err(garbled)
}

/// The daemon's answer, its body not read yet.
pub(crate) struct Answer<'c> {
    client: &'c Client,
    pub(crate) what: String,
    response: Response<Incoming>,
    connection: Option<SendRequest<Body>>,
    rest: BytesMut,
    ended: bool,
}

impl Answer<'_> {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The texts of a header that may be there more than once.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let all = self.response.headers().get_all(name).iter();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.map(text).collect()
    }

    /// The next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.response.body_mut().frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(e)) => {
                    return Err(Error::Broken {
                        what: self.what.clone(),
                        why: e.to_string(),
                    });
                }
                None => {
                    if let Some(connection) = self.connection.take() {
                        self.client.put_back(connection);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body.
    pub(crate) async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The next JSON value of a body that has one a line.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(end) = self.rest.iter().position(|&b| b == b'\n') {
                let line = self.rest.split_to(end + 1);
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return decode(&self.what, &line).map(Some);
            }
            if self.ended {
                let line = self.rest.split();
                if line.iter().all(u8::is_ascii_whitespace) {
                    return Ok(None);
                }
                return decode(&self.what, &line).map(Some);
            }
            match self.chunk().await? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => self.ended = true,
            }
        }
    }

    async fn refusal(self) -> Error {
        let status = self.response.status();
        let bytes = match self.bytes().await {
            Ok(bytes) => bytes,
            Err(e) => return e,
        };
        let message = serde_json::from_slice::<Value>(&bytes)
            .ok()
            .and_then(|v| v.get("message").and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_owned());
        let message = if message.is_empty() {
            format!("request returned {status}, without saying why")
        } else {
            message.trim().to_owned()
        };
        Error::Daemon {
            status: status.as_u16(),
            message,
        }
    }
}
