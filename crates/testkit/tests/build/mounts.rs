//! `RUN --mount`.

use std::fs;

use testkit::Daemon;

use crate::{Files, sh};

#[test]
fn caches_stay_and_leave_nothing_in_the_image() {
    let d = Daemon::fresh();
    let line = |n: u32| {
        format!(
            "FROM busybox\nRUN --mount=type=cache,target=/cache,uid=5,mode=0700 \
             echo {n} >> /cache/all && cp /cache/all /seen && stat -c %u:%a /cache > /owner\n"
        )
    };
    Files::new(&line(1)).build(&d, "");
    Files::new(&line(2)).build(&d, "");
    assert_eq!(
        sh(&d, "cat /seen /owner; ls -d /cache 2>&1; true"),
        "1\n2\n5:700\nls: /cache: No such file or directory"
    );
    let told = d.wharf().ok("builder du");
    assert!(!told.is_empty());
    d.wharf()
        .ok("builder prune -f --filter type=exec.cachemount");
    Files::new(&line(3)).build(&d, "");
    assert_eq!(sh(&d, "cat /seen"), "3");
}

#[test]
fn binds_from_the_context_and_from_stages() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox AS one
RUN mkdir /d && echo staged > /d/f && ln -s /d/f /link
FROM busybox
RUN --mount=type=bind,source=file,target=/mnt/file --mount=type=bind,target=/ctx \
    cat /mnt/file /ctx/file > /a && ! touch /ctx/x
RUN --mount=type=bind,from=one,source=/d,target=/s --mount=from=one,source=/link,target=/l,rw \
    cat /s/f /l > /b && echo changed > /l
RUN --mount=type=bind,from=one,target=/s,rw echo lost > /s/d/f && cat /s/d/f
RUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/x && df -k /t | grep -q 1024
COPY --from=one /d/f /c
",
    )
    .file("file", "context ");
    files.build(&d, "");
    assert_eq!(
        sh(&d, "cat /a /b /c"),
        "context context staged\nstaged\nstaged"
    );
    assert_eq!(sh(&d, "ls -d /mnt /ctx /s /t /l 2>/dev/null | wc -l"), "0");
}

#[test]
fn attack_31_secrets_are_in_no_layer_history_or_cache() {
    const SECRET: &str = "9f8e7d-geheim-1a2b3c";
    let d = Daemon::fresh();
    let files = Files::new(
        r#"FROM busybox
RUN --mount=type=secret,id=key test "$(cat /run/secrets/key | md5sum)" = "$(printf "%s" "$(cat /run/secrets/key)" | md5sum)" && stat -c %u:%a /run/secrets/key > /owner
RUN --mount=type=secret,id=key,target=/root/.netrc,mode=0440,uid=7 stat -c %u:%a /root/.netrc >> /owner
RUN --mount=type=secret,id=key,env=KEY test -n "$KEY"
RUN --mount=type=secret,id=none test ! -e /run/secrets/none
"#,
    );
    let key = files.dir().join("../key-for-the-secret-test");
    let key = key.with_file_name(format!("key-{}", std::process::id()));
    fs::write(&key, SECRET).expect("the secret");
    let more = format!("--secret id=key,src={}", key.display());
    files.build(&d, &more);
    assert_eq!(
        sh(&d, "cat /owner; ls /run 2>/dev/null; true"),
        "0:400\n7:440"
    );
    let required = Files::new("FROM busybox\nRUN --mount=type=secret,id=no,required true\n");
    required.fails(&d, "", &["secret no: not found"]);
    let found = std::process::Command::new("grep")
        .args(["-rlF", SECRET])
        .arg(d.dir())
        .output()
        .expect("grep");
    let _ = fs::remove_file(&key);
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "",
        "nowhere on the disk"
    );
    let history = d.wharf().ok("history --no-trunc it");
    assert!(!history.contains(SECRET) && !d.log().contains(SECRET));
}

#[test]
fn attack_31_a_secret_in_a_variable_is_on_no_disk_while_its_step_runs() {
    const SECRET: &str = "7a6b5c-verborgen-4d3e2f";
    let d = Daemon::fresh();
    let mount = "--mount=type=cache,id=signs,target=/signs";
    let waiting = Files::new(&format!(
        "FROM busybox\nRUN {mount} --mount=type=secret,id=key,env=KEY \
         test -n \"$KEY\" && touch /signs/runs && until [ -e /signs/go ]; do sleep 0.1; done\n"
    ));
    let look = Files::new(&format!(
        "FROM busybox\nRUN {mount} until [ -e /signs/runs ]; do sleep 0.1; done\n"
    ));
    let go = Files::new(&format!("FROM busybox\nRUN {mount} touch /signs/go\n"));
    let line = format!("build --secret id=key,env=KEY {}", waiting.dir().display());
    let mut command = d.wharf().command(&line);
    let running = testkit::Running::start(command.env("KEY", SECRET));
    look.build(&d, "");
    let found = std::process::Command::new("grep")
        .args(["-rlF", "-D", "skip", SECRET])
        .arg(d.dir())
        .output();
    go.build(&d, "");
    running.wait().ok();
    let found = found.expect("grep").stdout;
    assert_eq!(String::from_utf8_lossy(&found), "", "it is on the disk");
}
