//! Attaching by a websocket: the process's output as messages, and messages as its input.

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    answer::Answer,
    backend::{AttachOptions, Attachment, Output},
    connection::Socket,
    detach::Escape,
    dispatch::{Call, SERVER},
    error::Refusal,
    hijack::{self, Takeover},
    logs,
};

/// The longest message that is taken; it is held in memory.
const LONGEST: usize = 4 << 20;
/// How much of the output may wait for a client to take it.
const BACKLOG: usize = 1 << 20;
/// How long a client may take to answer that the connection is closed.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(2);

/// What messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes, from 1.28 on.
    Binary,
    /// Text: what is none becomes U+FFFD.
    Text,
}

pub(crate) async fn attach(call: Call) -> Answer {
    let query = &call.query;
    let escape = Escape::new(query.text("detachKeys"))?;
    let head = greeting(&call.headers)?;
    // Until 1.41 all streams were connected, whatever was asked for.
    let all = !call.since(42);
    let asked = |name| all || query.bool(name);
    let options = AttachOptions {
        logs: query.bool("logs"),
        stream: query.bool("stream"),
        stdin: asked("stdin"),
        stdout: asked("stdout"),
        stderr: asked("stderr"),
    };
    logs::connected(&call)?;
    let attachment = call.server.containers.attach(&call.name, options).await?;
    let tty = attachment.output.tty;
    let kind = if call.since(28) {
        Kind::Binary
    } else {
        Kind::Text
    };
    let takeover = Takeover::websocket(head, tty, attachment, escape, kind);
    logs::take_over(call, takeover).await
}

/// The answer to a client's greeting; refuses what is none.
fn greeting(headers: &HeaderMap) -> Result<String, Refusal> {
    let words = |name: &str| {
        let all = headers.get_all(name).into_iter();
        let all = all
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','));
        all.map(|v| v.trim().to_owned()).collect::<Vec<_>>()
    };
    let says = |name: &str, word: &str| words(name).iter().any(|w| w.eq_ignore_ascii_case(word));
    if !says("upgrade", "websocket") || !says("connection", "upgrade") {
        return Err(Refusal::bad("not websocket protocol"));
    }
    if !says("sec-websocket-version", "13") {
        return Err(Refusal::bad("missing or bad WebSocket Version"));
    }
    let key = words("sec-websocket-key").into_iter().next();
    let key = key.filter(|k| !k.is_empty());
    let key = key.ok_or_else(|| Refusal::bad("mismatch challenge/response"))?;
    // What is spoken here needs no name; a client that gave some wants to hear one of them.
    let protocol = words("sec-websocket-protocol").into_iter().next();
    let token = |p: &String| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !p.is_empty() && p.bytes().all(plain)
    };
    let protocol = protocol
        .filter(token)
        .map(|p| format!("Sec-WebSocket-Protocol: {p}\r\n"))
        .unwrap_or_default();
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{protocol}Api-Version: 1.51\r\nServer: {SERVER}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    ))
}

/// Carries messages both ways until the process ends, the client goes or detaches, or the daemon
/// ends.
pub(crate) async fn run(
    mut socket: Socket,
    early: Bytes,
    head: String,
    attachment: Attachment,
    mut escape: Option<Escape>,
    kind: Kind,
    closing: &CancellationToken,
) {
    let greeted = async {
        socket.write_all(head.as_bytes()).await?;
        socket.flush().await
    };
    if greeted.await.is_err() {
        return;
    }
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(LONGEST);
    config.max_frame_size = Some(LONGEST);
    config.write_buffer_size = 0;
    config.max_write_buffer_size = BACKLOG;
    let watched = socket.try_clone();
    let stream =
        WebSocketStream::from_partially_read(socket, early.to_vec(), Role::Server, Some(config));
    let (mut sink, mut messages) = stream.await.split();
    let Attachment {
        output: Output { mut chunks, .. },
        mut input,
        detached,
    } = attachment;
    let write = async {
        while let Some(chunk) = chunks.next().await {
            let Ok((_, bytes)) = chunk else {
                return CloseCode::Error;
            };
            let message = match kind {
                Kind::Binary => Message::Binary(bytes),
                Kind::Text => Message::text(String::from_utf8_lossy(&bytes).into_owned()),
            };
            if sink.send(message).await.is_err() {
                return CloseCode::Abnormal;
            }
        }
        CloseCode::Normal
    };
    let read = async {
        while let Some(message) = messages.next().await {
            let bytes = match message {
                Ok(Message::Binary(bytes)) => bytes,
                Ok(Message::Text(text)) => text.into(),
                Ok(Message::Close(_)) => break,
                // Answered by the library.
                Ok(_) => continue,
                Err(Error::Capacity(_)) => return CloseCode::Size,
                Err(Error::Protocol(_)) => return CloseCode::Protocol,
                Err(_) => return CloseCode::Abnormal,
            };
            if hijack::feed(&mut input, &mut escape, &bytes).await {
                detached();
                return CloseCode::Normal;
            }
        }
        CloseCode::Abnormal
    };
    let code = tokio::select! {
        code = write => code,
        code = read => code,
        // Nothing is read while the process does not take its input.
        () = hijack::gone(watched) => CloseCode::Abnormal,
        () = closing.cancelled() => CloseCode::Away,
    };
    if code == CloseCode::Abnormal {
        // The client has gone, or said that it goes, which the library answers.
        let _ = sink.flush().await;
        return;
    }
    let goodbye = async {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = messages.next().await {}
        }
    };
    // A client that does not answer is left.
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(n, v)| {
            let name = axum::http::HeaderName::from_static(n);
            (name, axum::http::HeaderValue::from_static(v))
        });
        pairs.collect()
    }

    #[test]
    fn greetings() {
        let good = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "chat, other"),
        ];
        let head = greeting(&headers(&good)).map_err(|r| r.message).unwrap();
        // The example of RFC 6455.
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(head.contains("Sec-WebSocket-Protocol: chat\r\n"));
        for missing in 0..4 {
            let mut some = good.to_vec();
            some.remove(missing);
            assert!(greeting(&headers(&some)).is_err());
        }
    }
}
