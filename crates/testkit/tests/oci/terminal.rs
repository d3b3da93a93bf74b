//! Terminals: sent over a socket, and passed through.

use std::{fs::File, io::Read, os::unix::net::UnixListener};

use serde_json::json;

use crate::support::{Bundle, Runtime, id};

fn with_terminal(r: &Runtime, script: &str) -> Bundle {
    Bundle::changed(r, &["sh", "-c", script], |c| {
        c["process"]["terminal"] = json!(true);
        c["process"]["consoleSize"] = json!({ "height": 31, "width": 77 });
    })
}

/// What is printed on the terminal that comes over the socket.
fn printed(listener: &UnixListener) -> String {
    let (stream, _) = listener.accept().expect("it connects");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 4096];
    rustix::net::recvmsg(
        &stream,
        &mut [std::io::IoSliceMut::new(&mut name)],
        &mut control,
        rustix::net::RecvFlags::CMSG_CLOEXEC,
    )
    .expect("a message");
    let fd = control.drain().find_map(|m| match m {
        rustix::net::RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    let mut master = File::from(fd.expect("a terminal"));
    // Ends with EIO.
    while let Ok(n @ 1..) = master.read(&mut bytes) {
        text.extend_from_slice(&bytes[..n]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn sent_over_a_socket() {
    let r = Runtime::new();
    let path = r.dir.path().join("console");
    let socket = path.to_str().expect("UTF-8");
    let listener = UnixListener::bind(&path).expect("a socket");
    let b = with_terminal(&r, "tty; stty size; test -t 2 && echo yes");
    let id = id();
    let started = std::thread::scope(|s| {
        let run =
            s.spawn(|| r.detached(&["run", "-d", "--console-socket", socket, "-b", b.path(), &id]));
        let text = printed(&listener);
        assert!(
            text.contains("/dev/pts/0") && text.contains("31 77") && text.contains("yes"),
            "{text}"
        );
        run.join().expect("it ran")
    });
    started.ok();
    r.delete(&id);

    let sleeping = Bundle::new(&r, &["sleep", "1000"]);
    let id = r.start(&sleeping);
    let exec = std::thread::scope(|s| {
        let exec = s.spawn(|| {
            r.detached(&[
                "exec",
                "-d",
                "-t",
                "--console-socket",
                socket,
                &id,
                "sh",
                "-c",
                "tty; echo done",
            ])
        });
        let text = printed(&listener);
        assert!(
            text.contains("/dev/pts/") && text.contains("done"),
            "{text}"
        );
        exec.join().expect("it ran")
    });
    exec.ok();
    r.delete(&id);
    let out = r.detached(&["run", "-d", "-b", b.path(), &crate::support::id()]);
    out.refused(&["cannot allocate tty"]);
}

#[test]
fn passed_through() {
    let r = Runtime::new();
    let b = with_terminal(&r, "echo ready; read x; echo got $x; stty size; exit 5");
    let id = id();
    let mut tty = testkit::Tty::start(&r.command(&["run", "-b", b.path(), &id]));
    tty.expect("ready");
    tty.resize(40, 100);
    tty.ask("word\n", "got word");
    tty.expect("40 100");
    assert_eq!(tty.wait(), 5);
    assert_eq!(r.ok(&["list", "-q"]), "");
}
