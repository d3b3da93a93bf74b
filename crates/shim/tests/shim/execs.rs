//! Further processes in a running container.

use std::os::unix::process::ExitStatusExt;

use runtime::protocol::{Event, ExecRequest, Exit, Frame, Request, Response, Size};

use crate::support::*;

fn running() -> Container {
    Container::new(&["sleep", "1000"]).started()
}

#[test]
fn codes_output_and_input() {
    let c = running();
    let (out, exit) = c.run_exec(c.exec("a", &["sh", "-c", "echo hi; exit 9"]), b"");
    assert_eq!((out.as_str(), exit.code), ("hi\n", 9));
    let (_, exit) = c.run_exec(c.exec("b", &["sh", "-c", "kill -TERM $$"]), b"");
    assert_eq!(exit.code, 143);
    let request = ExecRequest {
        stdin: true,
        ..c.exec("c", &["tr", "a-z", "A-Z"])
    };
    let (out, exit) = c.run_exec(request, b"shout");
    assert_eq!((out.as_str(), exit.code), ("SHOUT", 0));
    // It stays known, in the shim and on disk.
    let state = c.state();
    assert_eq!(state.execs.len(), 3);
    assert_eq!(state.execs[0].exit.as_ref().unwrap().code, 9);
    let file = std::fs::read(c.bundle().join("exec-a.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Exit>(&file).unwrap().code, 9);
    // Nothing else stays.
    let left: Vec<_> = std::fs::read_dir(c.bundle())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.starts_with("exec."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(
        c.log().is_empty(),
        "an exec's output is not the container's"
    );
}

#[test]
fn a_terminal() {
    let c = running();
    let mut request = c.exec(
        "t",
        &["sh", "-c", "stty size; read x; stty size; echo $x; exit 4"],
    );
    request.process = request.process.replace(
        "\"terminal\":false",
        "\"terminal\":true,\"consoleSize\":{\"width\":77,\"height\":11}",
    );
    request.tty = true;
    request.stdin = true;
    request.size = Some(Size {
        width: 77,
        height: 11,
    });
    let mut stream = c.connect();
    let response = stream.request(&Request::Exec(Box::new(request))).unwrap();
    assert!(
        matches!(response, Response::ExecStarted { .. }),
        "{response:?}"
    );
    assert!(read_until(&mut stream, "\r\n").contains("11 77"));
    let resize = Request::Resize {
        exec: Some("t".to_owned()),
        size: Size {
            width: 90,
            height: 20,
        },
    };
    assert_eq!(c.connect().request(&resize).unwrap(), Response::Done);
    stream.send(&Frame::Stdin(b"word\n".to_vec())).unwrap();
    let (out, _, event) = collect(&mut stream);
    assert!(
        out.contains("20 90\r\n") && out.contains("word\r\n"),
        "{out:?}"
    );
    assert!(matches!(event, Some(Event::ExecExited { exit, .. }) if exit.code == 4));
}

#[test]
fn what_cannot_be_run() {
    let c = running();
    for (id, args, expected) in [("a", "nope", 127), ("b", "/etc", 126)] {
        let request = Request::Exec(Box::new(c.exec(id, &[args])));
        match c.connect().request(&request).unwrap() {
            Response::ExecFailed { code, message } => {
                assert_eq!(code, expected, "{message}");
                assert!(
                    message.starts_with("OCI runtime exec failed: exec failed: "),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    for id in ["", "../x", "a/b", "sp ace", &"x".repeat(129)] {
        let request = Request::Exec(Box::new(c.exec(id, &["true"])));
        assert!(c.connect().request(&request).is_err(), "{id:?}");
    }
    assert_eq!(c.state().execs, []);
}

#[test]
fn many_at_once() {
    let c = running();
    std::thread::scope(|scope| {
        for i in 0..16 {
            let c = &c;
            scope.spawn(move || {
                let script = format!("sleep 0.05; echo {i}; exit {i}");
                let request = c.exec(&format!("e{i}"), &["sh", "-c", &script]);
                let (out, exit) = c.run_exec(request, b"");
                assert_eq!((out, exit.code), (format!("{i}\n"), i));
            });
        }
    });
}

#[test]
fn detached_and_watched() {
    let c = running();
    let mut watch = c.connect();
    assert_eq!(watch.request(&Request::Watch).unwrap(), Response::Done);
    assert!(matches!(
        watch.next_frame().unwrap(),
        Some(Frame::Event(Event::Started { .. }))
    ));
    let mut stream = c.connect();
    let request = ExecRequest {
        stdout: false,
        stderr: false,
        ..c.exec("d", &["sleep", "1000"])
    };
    let response = stream.request(&Request::Exec(Box::new(request))).unwrap();
    let Response::ExecStarted { pid } = response else {
        panic!("{response:?}")
    };
    drop(stream);
    assert!(alive(pid));
    let signal = Request::Signal {
        exec: Some("d".to_owned()),
        signal: 15,
    };
    c.connect().request(&signal).unwrap();
    match watch.next_frame().unwrap() {
        Some(Frame::Event(Event::ExecExited { id, exit })) => {
            assert_eq!((id.as_str(), exit.code), ("d", 143));
        }
        other => panic!("{other:?}"),
    }
    let error = c.connect().request(&signal).unwrap_err().to_string();
    assert!(error.contains("no exec d"), "{error}");
}

#[test]
fn a_child_left_behind_neither_hangs_nor_dies() {
    let c = running();
    // The background process keeps writing to the output of an exec that has ended.
    let script = "(while true; do echo still || exit; usleep 20000; done) & echo $! > /tmp/pid; \
                  echo started";
    let (out, exit) = c.run_exec(c.exec("x", &["sh", "-c", script]), b"");
    assert!(out.contains("started"));
    assert_eq!(exit.code, 0);
    let (out, _) = c.run_exec(
        c.exec(
            "y",
            &[
                "sh",
                "-c",
                "sleep 0.2; kill -0 $(cat /tmp/pid) && echo lives",
            ],
        ),
        b"",
    );
    assert_eq!(out, "lives\n");
}

#[test]
fn execs_end_with_their_container() {
    let mut c = running();
    let mut stream = c.connect();
    let request = Request::Exec(Box::new(c.exec("x", &["sleep", "1000"])));
    stream.request(&request).unwrap();
    c.control()
        .request(&Request::Signal {
            exec: None,
            signal: 9,
        })
        .unwrap();
    let (_, _, event) = collect(&mut stream);
    assert!(matches!(event, Some(Event::ExecExited { exit, .. }) if exit.code == 137));
    assert_eq!(c.exit().code, 137);
    let mut shim = c.shim.take().unwrap();
    drop(shim.control);
    assert_eq!(shim.child.wait().unwrap().into_raw(), 0);
}
