//! What is done again, and what is not.

use std::fs;

use testkit::Daemon;

use crate::{Files, cached, sh};

#[test]
fn only_what_depends_on_a_change_is_done_again() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox AS tools
RUN echo tool > /tool
FROM busybox
COPY requirements /requirements
RUN cat /requirements > /installed && date +%s%N > /when
COPY --from=tools /tool /tool
COPY app /app
RUN cat /app/main /tool > /out
",
    )
    .file("requirements", "r")
    .file("app/main", "one ");
    let first = files.build(&d, "");
    assert_eq!(cached(&first), 0, "{first}");
    let when = sh(&d, "cat /when");
    let id = d.wharf().ok("images -q it");
    let again = files.build(&d, "");
    assert_eq!(cached(&again), 6, "{again}");
    assert_eq!(d.wharf().ok("images -q it"), id, "the same image");

    // Other times and another order of the same files: nothing changes.
    fs::remove_file(files.path("app/main")).expect("removed");
    files.write("app/main", "one ");
    let touched = files.build(&d, "");
    assert_eq!(cached(&touched), 6, "{touched}");

    files.write("app/main", "two ");
    let changed = files.build(&d, "");
    assert_eq!(cached(&changed), 4, "{changed}");
    assert_eq!(sh(&d, "cat /out"), "two tool");
    assert_eq!(sh(&d, "cat /when"), when);

    // And back, as a branch would: all of it is still there.
    files.write("app/main", "one ");
    let back = files.build(&d, "");
    assert_eq!(cached(&back), 6, "{back}");
    assert_eq!(sh(&d, "cat /out"), "one tool");

    let none = files.build(&d, "--no-cache");
    assert_eq!(cached(&none), 0, "{none}");
    assert_ne!(sh(&d, "cat /when"), when);
    let part = files.build(&d, "--no-cache-filter tools");
    assert_eq!(cached(&part), 5, "{part}");
}

#[test]
fn what_a_step_sees_is_part_of_its_key() {
    let d = Daemon::fresh();
    let key = |dockerfile: &str, more: &str| {
        let files = Files::new(dockerfile).file("f", "1");
        files.build(&d, more);
        sh(&d, "cat /n")
    };
    let run = "RUN cat /proc/sys/kernel/random/uuid > /n\n";
    let plain = key(&format!("FROM busybox\n{run}"), "");
    assert_eq!(key(&format!("FROM busybox\nLABEL a=b\n{run}"), ""), plain);
    assert_eq!(
        key(&format!("FROM busybox\nARG HTTP_PROXY\n{run}"), ""),
        plain
    );
    let proxy = "--build-arg HTTPS_PROXY=http://nowhere.test:1";
    assert_eq!(key(&format!("FROM busybox\n{run}"), proxy), plain);
    for other in [
        format!("FROM busybox\nENV A=b\n{run}"),
        format!("FROM busybox\nARG A=b\n{run}"),
        format!("FROM busybox\nUSER 0:5\n{run}"),
        format!("FROM busybox\nWORKDIR /tmp\n{run}"),
        format!("FROM busybox\nSHELL [\"/bin/sh\", \"-uc\"]\n{run}"),
        format!("FROM busybox\nCOPY f /f\n{run}"),
        format!("FROM busybox\n{}", run.replace("RUN", "RUN --network=none")),
        format!(
            "FROM busybox\n{}",
            run.replace("RUN", "RUN --mount=type=bind,target=/c,source=f")
        ),
    ] {
        assert_ne!(key(&other, ""), plain, "{other}");
        assert_eq!(key(&other, ""), key(&other, ""), "{other}");
    }
    assert_ne!(
        key(&format!("FROM busybox\n{run}"), "--add-host a.test:1.2.3.4"),
        plain
    );
}

#[test]
fn cache_outlives_images_daemons_and_failures_and_goes_when_it_is_told_to() {
    let mut d = Daemon::fresh();
    let text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /n\n";
    let files = Files::new(text);
    files.build(&d, "");
    let first = sh(&d, "cat /n");
    d.wharf().ok("rmi it");
    d.kill9();
    d.restart();
    files.build(&d, "");
    assert_eq!(sh(&d, "cat /n"), first);
    let df = d.api().get("/system/df?type=build-cache").json();
    let records = df["BuildCache"].as_array().expect("records").len();
    assert!(records >= 1, "{df}");
    d.wharf().ok("rmi it");
    // A step that fails keeps what came before.
    let failing = Files::new(&format!("{text}RUN exit 3\n"));
    let told = failing.fails(&d, "", &["exit code: 3"]);
    assert_eq!(cached(&told), 1, "{told}");
    let pruned = d.wharf().ok("builder prune -af");
    assert!(pruned.contains("Total"), "{pruned}");
    let df = d.api().get("/system/df?type=build-cache").json();
    assert_eq!(df["BuildCache"], serde_json::json!([]));
    let layers = d.dir().join("data/image/layers");
    let left = fs::read_dir(layers).expect("layers").count();
    assert_eq!(left, 1, "only those of images are left");
    files.build(&d, "");
    assert_ne!(sh(&d, "cat /n"), first);
}

#[test]
fn stages_that_do_not_depend_on_one_another_are_built_at_the_same_time() {
    let d = Daemon::fresh();
    // Each waits for the other: one after the other they would wait in vain.
    let wait = |own: &str, other: &str| {
        format!(
            "RUN --mount=type=cache,target=/c touch /c/{own}; n=0; \
             while [ ! -e /c/{other} ]; do sleep 0.05; n=$((n+1)); [ $n -lt 400 ] || exit 1; done\n"
        )
    };
    let files = Files::new(&format!(
        "FROM busybox AS a\n{}FROM busybox AS b\n{}FROM busybox\nCOPY --from=a /etc/passwd /a\n\
         COPY --from=b /etc/passwd /b\n",
        wait("a", "b"),
        wait("b", "a")
    ));
    files.build(&d, "");
}
