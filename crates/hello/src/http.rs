//! As much of HTTP/1.1 as a greeting needs.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
};

/// Longer heads are refused.
const MAX_HEAD: usize = 8 << 10;

/// What to do with a connection.
pub(crate) enum Next {
    /// Wait until it is ready again.
    Wait,
    /// Drop it.
    Close,
}

/// A client.
pub(crate) struct Conn {
    stream: TcpStream,
    head: Vec<u8>,
    answer: Vec<u8>,
    close: bool,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            head: Vec::new(),
            answer: Vec::new(),
            close: false,
        })
    }

    /// Is there an answer that was not sent yet?
    pub(crate) fn sending(&self) -> bool {
        !self.answer.is_empty()
    }

    /// Does what can be done without waiting.
    pub(crate) fn step(&mut self) -> Next {
        loop {
            if self.sending() {
                match self.stream.write(&self.answer) {
                    Ok(n) => drop(self.answer.drain(..n)),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Next::Wait,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Next::Close,
                }
                continue;
            }
            if self.close {
                return Next::Close;
            }
            if let Some(end) = head_end(&self.head) {
                let (answer, close) = respond(&self.head[..end]);
                self.head.drain(..end);
                (self.answer, self.close) = (answer, close);
                continue;
            }
            if self.head.len() > MAX_HEAD {
                let text = "The request is too long.\n";
                self.answer = response(
                    "431 Request Header Fields Too Large",
                    "text/plain",
                    text,
                    true,
                    true,
                );
                self.close = true;
                continue;
            }
            let mut buf = [0; 2048];
            match self.stream.read(&mut buf) {
                Ok(0) => return Next::Close,
                Ok(n) => self.head.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Next::Wait,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Next::Close,
            }
        }
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The answer to a request, and whether the connection ends with it.
fn respond(head: &[u8]) -> (Vec<u8>, bool) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (request.next(), request.next(), request.next());
    let (Some(method), Some(target), Some(version)) = (method, target, version) else {
        return (
            response(
                "400 Bad Request",
                "text/plain",
                "Bad request.\n",
                true,
                true,
            ),
            true,
        );
    };
    let mut close = version != "HTTP/1.1";
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        match name.as_str() {
            "connection" => close |= value.split(',').any(|v| v.trim() == "close"),
            // A body is not read, so what follows it cannot be found.
            "transfer-encoding" => close = true,
            "content-length" => close |= value != "0",
            _ => {}
        }
    }
    let body = method != "HEAD";
    let answer = match (method, target.split('?').next().unwrap_or_default()) {
        ("GET" | "HEAD", "/") => {
            response("200 OK", "text/html; charset=utf-8", &page(), body, close)
        }
        ("GET" | "HEAD", _) => response(
            "404 Not Found",
            "text/plain",
            "There is only /.\n",
            body,
            close,
        ),
        _ => {
            close = true;
            response(
                "405 Method Not Allowed",
                "text/plain",
                "Only GET and HEAD.\n",
                body,
                close,
            )
        }
    };
    (answer, close)
}

fn response(status: &str, kind: &str, body: &str, with_body: bool, close: bool) -> Vec<u8> {
    let allow = if status.starts_with("405") {
        "Allow: GET, HEAD\r\n"
    } else {
        ""
    };
    let connection = if close { "close" } else { "keep-alive" };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: \
         {connection}\r\n{allow}\r\n",
        body.len()
    );
    if with_body {
        answer.push_str(body);
    }
    answer.into_bytes()
}

fn page() -> String {
    let name = escape(&rustix::system::uname().nodename().to_string_lossy());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width\">\n<title>Hello from {name}</title>\n\
         <style>\nbody {{ font: 18px/1.5 system-ui, sans-serif; max-width: 34em; margin: 15vh \
         auto; padding: 0 1em; color: #1b2733; }}\nh1 {{ font-weight: 600; }}\ncode {{ \
         background: #e8eef4; padding: .15em .4em; border-radius: .25em; }}\n</style>\n</head>\n\
         <body>\n<h1>Hello from wharf</h1>\n<p>This page was served by container \
         <code>{name}</code>.</p>\n</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(head: &str) -> (String, bool) {
        let (bytes, close) = respond(head.as_bytes());
        (String::from_utf8(bytes).unwrap(), close)
    }

    #[test]
    fn get_and_head() {
        let (text, close) = answer("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && !close);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let (text, _) = answer("HEAD / HTTP/1.1\r\n\r\n");
        assert!(text.ends_with("\r\n\r\n"));
        assert_eq!(text.split_once("\r\n\r\n").unwrap().0, head);
    }

    #[test]
    fn when_to_close() {
        assert!(answer("GET / HTTP/1.0\r\n\r\n").1);
        assert!(answer("GET / HTTP/1.1\r\nconnection: Close\r\n\r\n").1);
        assert!(answer("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n").1);
        assert!(answer("POST / HTTP/1.1\r\n\r\n").1);
        assert!(answer("nonsense\r\n\r\n").0.starts_with("HTTP/1.1 400"));
        assert!(
            answer("GET /x HTTP/1.1\r\n\r\n")
                .0
                .starts_with("HTTP/1.1 404")
        );
    }
}
