//! Input, output and terminals.

use std::{io::Write, time::Duration};

use runtime::protocol::{Frame, Request, Response, Size};

use crate::support::*;

#[test]
fn input_makes_the_round_trip() {
    let mut c = Container::new(&["cat"]).stdin(true).launched();
    let mut stream = c.attach(true);
    c.start();
    let data: Vec<u8> = (0..3_000_000u32)
        .flat_map(|i| (i % 9973).to_le_bytes())
        .collect();
    let mut writer = stream.stream().try_clone().unwrap();
    let sent = data.clone();
    let sender = std::thread::spawn(move || {
        writer.write_all(&Frame::Stdin(sent).to_bytes()).unwrap();
        writer.write_all(&Frame::CloseStdin.to_bytes()).unwrap();
    });
    let mut got = Vec::with_capacity(data.len());
    loop {
        match stream.next_frame().unwrap() {
            Some(Frame::Stdout(bytes)) => got.extend(bytes),
            Some(Frame::Event(event)) => break assert_eq!(code(Some(event)), 0),
            other => panic!("{other:?}"),
        }
    }
    sender.join().unwrap();
    assert!(
        got == data,
        "{} of {} bytes came back",
        got.len(),
        data.len()
    );
}

#[test]
fn input_of_a_client_that_left_arrives() {
    let mut c = Container::new(&["sh", "-c", "sleep 0.3; cat | wc -c"])
        .stdin(true)
        .launched();
    let mut reader = c.attach(false);
    let mut writer = c.attach(true);
    c.start();
    writer.send(&Frame::Stdin(vec![b'x'; 300_000])).unwrap();
    drop(writer);
    let (out, _, event) = collect(&mut reader);
    assert_eq!((out.as_str(), code(event)), ("300000\n", 0));
}

#[test]
fn input_stays_open_unless_it_is_once() {
    let mut c = Container::new(&["sh", "-c", "read a; read b; echo $a-$b"])
        .stdin(false)
        .launched();
    let mut reader = c.attach(false);
    c.start();
    for text in ["one\n", "two\n"] {
        let mut writer = c.attach(true);
        writer
            .send(&Frame::Stdin(text.as_bytes().to_vec()))
            .unwrap();
        writer.send(&Frame::CloseStdin).unwrap();
    }
    let (out, _, event) = collect(&mut reader);
    assert_eq!((out.as_str(), code(event)), ("one-two\n", 0));
}

#[test]
fn without_input_there_is_none() {
    let mut c = Container::new(&["sh", "-c", "cat; echo end"]).launched();
    let mut stream = c.attach(true);
    stream
        .send(&Frame::Stdin(b"nobody reads this".to_vec()))
        .unwrap();
    c.start();
    let (out, _, event) = collect(&mut stream);
    assert_eq!((out.as_str(), code(event)), ("end\n", 0));
}

#[test]
fn a_terminal_and_its_size() {
    let script = "stty size; read x; stty size; echo got $x >&2; exit 5";
    let mut c = Container::new(&["sh", "-c", script]).stdin(false).tty();
    c.config["process"]["consoleSize"] = serde_json::json!({"width": 100, "height": 30});
    let mut c = c.launched();
    let mut stream = c.attach(true);
    c.start();
    assert!(read_until(&mut stream, "\r\n").contains("30 100"));
    let resize = Request::Resize {
        exec: None,
        size: Size {
            width: 132,
            height: 43,
        },
    };
    assert_eq!(c.control().request(&resize).unwrap(), Response::Done);
    stream.send(&Frame::Stdin(b"hello\n".to_vec())).unwrap();
    let (out, err, event) = collect(&mut stream);
    assert!(
        out.contains("43 132\r\n") && out.contains("got hello\r\n"),
        "{out:?}"
    );
    assert_eq!((err.as_str(), code(event)), ("", 5));
    // What a terminal shows is logged as output.
    assert!(
        c.log()
            .iter()
            .any(|(s, l)| s == "stdout" && l == "got hello\r\n"),
        "{:?}",
        c.log()
    );
}

#[test]
fn resize_without_a_terminal_is_refused() {
    let mut c = Container::new(&["sleep", "100"]).started();
    let resize = Request::Resize {
        exec: None,
        size: Size {
            width: 1,
            height: 1,
        },
    };
    let error = c.control().request(&resize).unwrap_err().to_string();
    assert!(error.contains("no terminal"), "{error}");
}

#[test]
fn a_slow_client_loses_nothing_and_costs_little() {
    const LINES: usize = 1_500_000;
    let mut c = Container::new(&["seq", "1", &LINES.to_string()]);
    c.launch.log = None;
    let mut c = c.launched();
    let mut slow = c.attach(false);
    let mut fast = c.attach(false);
    c.start();
    let reader = std::thread::spawn(move || collect(&mut fast).0.len());
    // Nothing is read by the slow one until the container must wait for it.
    let mut before = (0, std::time::Instant::now());
    eventually("the container waits", || {
        let written = written_by(&c);
        if written != before.0 {
            before = (written, std::time::Instant::now());
        }
        written > 0 && before.1.elapsed() > Duration::from_millis(300)
    });
    let memory = high_water(&c);
    assert!(memory < 6 << 10, "{memory} KiB");
    let (out, _, event) = collect(&mut slow);
    assert_eq!(code(event), 0);
    assert_eq!(out.lines().count(), LINES);
    assert!(
        out.lines()
            .enumerate()
            .all(|(i, l)| l == (i + 1).to_string())
    );
    assert_eq!(reader.join().unwrap(), out.len());
}

/// What the container's process has written so far.
fn written_by(c: &Container) -> u64 {
    let Some(pid) = c.state().pid else { return 0 };
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    text.lines()
        .find_map(|l| l.strip_prefix("wchar: "))
        .map_or(0, |n| n.parse().unwrap())
}

/// The most memory the shim ever had of its own, in KiB. Pages of its program file are left out:
/// how many of those are resident is the kernel's affair and grows with the build's debug
/// information.
pub(crate) fn high_water(c: &Container) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", c.shim_pid())).unwrap();
    let value = |name: &str| -> u64 {
        let value = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    };
    value("VmHWM:") - value("RssFile:")
}

#[test]
fn a_vanished_client_holds_nobody_up() {
    let mut c = Container::new(&["seq", "1", "400000"]).launched();
    let gone = c.attach(false);
    c.start();
    drop(gone);
    assert_eq!(c.exit().code, 0);
    assert_eq!(c.log().len(), 400_000);
}
