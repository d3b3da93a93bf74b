//! Starting and ending.

use runtime::protocol::{Event, Response, Status};

use crate::support::*;

#[test]
fn exit_codes() {
    for (args, expected) in [
        (&["true"][..], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "kill -9 $$; kill -TERM $$; exit 3"], 3),
    ] {
        let mut c = Container::new(args).started();
        let exit = c.exit();
        assert_eq!(exit.code, expected, "{args:?}");
        assert!(
            !exit.oom_killed && exit.error.is_none() && exit.log_lost == 0,
            "{exit:?}"
        );
        c.shim_ends();
        c.cleanup();
    }
}

#[test]
fn attach_before_start_misses_nothing() {
    let mut c = Container::new(&["sh", "-c", "echo first; echo oops >&2; exit 7"]).launched();
    assert_eq!(c.state().status, Status::Created);
    let mut one = c.attach(false);
    let mut two = c.attach(false);
    c.start();
    for stream in [&mut one, &mut two] {
        let (out, err, event) = collect(stream);
        assert_eq!(
            (out.as_str(), err.as_str(), code(event)),
            ("first\n", "oops\n", 7)
        );
    }
    assert_eq!(c.exit().code, 7);
    let mut log = c.log();
    log.sort();
    assert_eq!(
        log,
        [
            ("stderr".to_owned(), "oops\n".to_owned()),
            ("stdout".to_owned(), "first\n".to_owned()),
        ]
    );
}

#[test]
fn what_cannot_be_started() {
    for (args, expected, words) in [
        (
            &["nope"][..],
            127,
            "exec: \"nope\": executable file not found in $PATH",
        ),
        (&["/nope"], 127, "no such file or directory"),
        (&["/etc"], 126, "exec: \"/etc\": "),
        (&["/etc/plain"], 126, "permission denied"),
    ] {
        let c = Container::new(args);
        std::fs::write(c.rootfs().join("etc/plain"), "").unwrap();
        let mut c = c.launched();
        let mut attached = c.attach(false);
        match c.try_start() {
            Response::StartFailed { code, message } => {
                assert_eq!(code, expected, "{message}");
                assert!(message.contains(words), "{message}");
                assert!(
                    message.starts_with("failed to create task for container: "),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
        // Not a word of the runtime's own reaches the container's output.
        let (out, err, event) = collect(&mut attached);
        assert_eq!((out.as_str(), err.as_str()), ("", ""));
        assert!(matches!(event, Some(Event::Exited(_))));
        let exit = c.exit();
        assert_eq!(exit.code, expected);
        assert!(exit.error.unwrap().contains(words));
        c.shim_ends();
        c.cleanup();
        assert!(c.log().is_empty());
    }
}
