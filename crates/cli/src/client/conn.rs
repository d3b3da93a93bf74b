//! Connections, and sending over them.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use types::version::ApiVersion;

use super::{
    Duplex, Endpoint, Error,
    dial::Dialer,
    request::{Payload, Request},
};

/// A body on its way to the daemon.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A daemon, and the connections to it.
pub(crate) struct Client {
    dialer: Dialer,
    headers: Vec<(String, String)>,
    version: Cell<ApiVersion>,
    /// The user chose the version.
    fixed: bool,
    agreed: Cell<bool>,
    idle: RefCell<Vec<SendRequest<Body>>>,
    debug: bool,
}

impl Client {
    /// A client of the daemon at `endpoint`; `daemon` is what error texts call it. `headers` go
    /// with each request. With `debug` each request is told on standard error.
    pub(crate) fn new(
        endpoint: &Endpoint,
        daemon: &str,
        headers: Vec<(String, String)>,
        debug: bool,
    ) -> Result<Self, Error> {
        let wanted = std::env::var("DOCKER_API_VERSION").unwrap_or_default();
        let wanted = wanted.strip_prefix('v').unwrap_or(&wanted);
        let fixed = match wanted {
            "" => None,
            text => Some(text.parse::<ApiVersion>().map_err(|_| {
                Error::Host(format!("DOCKER_API_VERSION: invalid version: {text}"))
            })?),
        };
        Ok(Self {
            dialer: Dialer::new(endpoint, daemon)?,
            headers,
            version: Cell::new(fixed.unwrap_or(ApiVersion::MAX)),
            fixed: fixed.is_some(),
            agreed: Cell::new(fixed.is_some()),
            idle: RefCell::default(),
            debug,
        })
    }

    /// The version of the API that is spoken.
    pub(crate) fn version(&self) -> ApiVersion {
        self.version.get()
    }

    /// The daemon's address, as the user named it.
    pub(crate) fn host(&self) -> &str {
        &self.dialer.shown
    }

    /// Opens a connection ahead of its use. A failure is left to the request that needs it.
    pub(crate) async fn warm(&self) {
        if let Ok(connection) = self.connect().await {
            self.idle.borrow_mut().push(connection);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Error> {
        let stream = self.dialer.dial().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| broken("connect", &e))?;
        // Its errors reach the request that it serves.
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    /// A bare connection, for who speaks HTTP over it elsewhere.
    pub(crate) async fn dial(&self) -> Result<Box<dyn Duplex>, Error> {
        self.dialer.dial().await
    }

    /// Gives a connection back whose answer was read to its end.
    pub(super) fn put_back(&self, connection: SendRequest<Body>) {
        self.idle.borrow_mut().push(connection);
    }

    async fn take(&self) -> Result<SendRequest<Body>, Error> {
        loop {
            let Some(mut connection) = self.idle.borrow_mut().pop() else {
                return self.connect().await;
            };
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    /// Finds out the daemon's version where that cannot wait for a refusal, because the request's
    /// body can be sent only once.
    async fn agree(&self) -> Result<(), Error> {
        if !self.agreed.get() {
            let (response, connection) = self.once(&Request::get("/_ping")).await?;
            self.note_version(&response);
            if response.into_body().collect().await.is_ok() {
                self.put_back(connection);
            }
        }
        Ok(())
    }

    /// Lowers our version to the daemon's.
    fn note_version(&self, response: &Response<Incoming>) {
        self.agreed.set(true);
        if self.fixed {
            return;
        }
        let theirs = response
            .headers()
            .get("api-version")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse::<ApiVersion>().ok());
        if let Some(theirs) = theirs
            && theirs < self.version.get()
        {
            self.version.set(theirs);
        }
    }

    async fn once(
        &self,
        request: &Request,
    ) -> Result<(Response<Incoming>, SendRequest<Body>), Error> {
        let body = match &request.body {
            Payload::Empty => Full::new(Bytes::new())
                .map_err(|e| match e {})
                .boxed_unsync(),
            Payload::Whole(bytes) => Full::new(bytes.clone())
                .map_err(|e| match e {})
                .boxed_unsync(),
            Payload::Stream(body) => match body.take() {
                Some(body) => body,
                None => Full::new(Bytes::new())
                    .map_err(|e| match e {})
                    .boxed_unsync(),
            },
        };
        let path = if request.path == "/_ping" {
            request.path.clone()
        } else {
            format!("/v{}{}", self.version.get(), request.path_and_query())
        };
        let mut builder = hyper::Request::builder()
            .method(request.method.clone())
            .uri(path)
            .header("host", "api.moby.localhost")
            .header("user-agent", concat!("wharf/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.headers {
            builder = builder.header(name.as_str(), value.as_str());
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value.as_str());
        }
        let message = builder
            .body(body)
            .map_err(|e| broken(&request.name(), &e))?;
        let began = std::time::Instant::now();
        let mut connection = self.take().await?;
        let response = match connection.send_request(message).await {
            Ok(response) => response,
            Err(e) => {
                return Err(match self.dialer.explain().await {
                    Some(why) => Error::Broken {
                        what: request.name(),
                        why,
                    },
                    None => broken(&request.name(), &e),
                });
            }
        };
        if self.debug {
            crate::format::output::complain(&format!(
                "DEBUG {} to {}: {} after {:.1} ms",
                request.name(),
                self.dialer.shown,
                response.status(),
                began.elapsed().as_secs_f64() * 1000.0
            ));
        }
        Ok((response, connection))
    }

    /// Sends `request`, and again in the daemon's version if ours is too new for it.
    pub(super) async fn send(
        &self,
        request: &Request,
    ) -> Result<(Response<Incoming>, SendRequest<Body>), Error> {
        let replayable = !matches!(request.body, Payload::Stream(_));
        if !replayable {
            self.agree().await?;
        }
        let spoken = self.version.get();
        let (response, connection) = self.once(request).await?;
        self.note_version(&response);
        // Another request, sent at the same time, may have lowered the version already.
        if self.version.get() < spoken && response.status() == StatusCode::BAD_REQUEST {
            if response.into_body().collect().await.is_ok() {
                self.put_back(connection);
            }
            return self.once(request).await;
        }
        Ok((response, connection))
    }
}

/// A failure with all its causes.
fn broken(what: &str, error: &dyn std::error::Error) -> Error {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Error::Broken {
        what: what.to_owned(),
        why,
    }
}
