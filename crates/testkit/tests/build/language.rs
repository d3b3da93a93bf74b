//! What each instruction does.

use testkit::{Daemon, Opts};

use crate::{Files, sh};

#[test]
fn configuration_of_an_image() {
    let d = Daemon::fresh();
    let files = Files::new(
        r#"# syntax=docker/dockerfile:1
ARG TAG=latest
FROM busybox:${TAG}
MAINTAINER somebody
ARG WHO=world
ENV GREETING="hello $WHO" PLAIN=a\ b OLD=${UNSET:-default}
ENV LEGACY one two
LABEL a.b="c d" e=$WHO
EXPOSE 80 443/udp 8000-8001
VOLUME ["/data", "/more"]
USER app:extra
WORKDIR /w
WORKDIR x/y
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=2s --start-period=1s --start-interval=500ms --retries=7 CMD true || exit 1
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT exec echo
CMD ["a", "b"]
ONBUILD RUN echo triggered > /triggered
"#,
    );
    files.build(&d, "--label z=1");
    let config = d.wharf().ok("image inspect it --format '{{json .Config}}'");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    let env = config["Env"].as_array().expect("a list");
    for wanted in [
        "GREETING=hello world",
        "PLAIN=a b",
        "OLD=default",
        "LEGACY=one two",
    ] {
        assert!(env.iter().any(|e| e == wanted), "{wanted}: {env:?}");
    }
    assert_eq!(
        config["Labels"],
        serde_json::json!({"a.b": "c d", "e": "world", "z": "1"})
    );
    let ports: Vec<_> = config["ExposedPorts"]
        .as_object()
        .expect("ports")
        .keys()
        .collect();
    assert_eq!(ports, ["443/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
    assert_eq!(
        config["Volumes"],
        serde_json::json!({"/data": {}, "/more": {}})
    );
    assert_eq!(config["User"], "app:extra");
    assert_eq!(config["WorkingDir"], "/w/x/y");
    assert_eq!(config["StopSignal"], "SIGQUIT");
    assert_eq!(
        config["Entrypoint"],
        serde_json::json!(["/bin/sh", "-ec", "exec echo"])
    );
    assert_eq!(config["Cmd"], serde_json::json!(["a", "b"]));
    assert_eq!(config["Healthcheck"]["Retries"], 7);
    assert_eq!(config["Healthcheck"]["StartInterval"], 500_000_000);
    // Its shell form is for whatever shell the image has.
    assert_eq!(
        config["Healthcheck"]["Test"],
        serde_json::json!(["CMD-SHELL", "true || exit 1"])
    );

    // What it gives to builds that stand on it.
    d.wharf().ok("tag it parent");
    let child = Files::new("FROM parent\nUSER root\nENTRYPOINT []\n");
    let told = child.fails(&d, "", &["Permission denied"]);
    assert!(told.contains("RUN echo triggered"), "{told}");
}

#[test]
fn an_entrypoint_takes_the_bases_command_away_and_onbuild_runs_in_children() {
    let d = Daemon::fresh();
    Files::new("FROM busybox\nCMD [\"x\"]\nONBUILD ENV SEEN=1\nONBUILD RUN echo $SEEN > /seen\n")
        .build(&d, "");
    d.wharf().ok("tag it parent");
    Files::new("FROM parent\nENTRYPOINT [\"cat\", \"/seen\"]\n").build(&d, "");
    assert_eq!(d.wharf().ok("run --rm it"), "1");
    let config = d.wharf().ok("image inspect it --format '{{json .Config}}'");
    assert!(
        !config.contains("OnBuild") && config.contains(r#""Cmd":null"#),
        "{config}"
    );
}

#[test]
fn heredocs_and_shells() {
    let d = Daemon::fresh();
    let files = Files::new(
        r#"FROM busybox
ARG NAME=wharf
RUN <<EOF
echo one > /one
echo "$NAME" >> /one
EOF
RUN <<EOF sh > /two
echo two
EOF
COPY <<EOF <<'RAW' /docs/
hello $NAME
EOF
hello $NAME
RAW
COPY <<script /run.sh
#!/bin/sh
echo ran
script
RUN ["sh", "-c", "sh /run.sh > /three"]
RUN echo a \
    # a comment in between
    && echo b > /four
"#,
    );
    files.build(&d, "");
    assert_eq!(
        sh(&d, "cat /one /two /three /four"),
        "one\nwharf\ntwo\nran\nb"
    );
    assert_eq!(
        sh(&d, "cat /docs/EOF /docs/RAW"),
        "hello wharf\nhello $NAME"
    );
}

#[test]
fn stages_that_are_needed_and_their_arguments() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"ARG BASE=busybox
FROM $BASE AS one
ARG BASE
ARG TARGETARCH
RUN echo $BASE $TARGETARCH > /from
FROM one AS unused
RUN exit 1
FROM ${BASE} AS two
ARG VALUE=default
RUN echo $VALUE > /value
FROM scratch AS files
COPY --from=one /from /
COPY --from=2 /value /
FROM busybox
COPY --from=files / /all/
COPY --from=busybox /etc/passwd /passwd
",
    );
    files.build(&d, "--build-arg VALUE=given");
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    assert_eq!(
        sh(&d, "cat /all/from /all/value"),
        format!("busybox {arch}\ngiven")
    );
    assert!(sh(&d, "cat /passwd").contains("root"));
    files.build(&d, "--target TWO");
    assert_eq!(sh(&d, "cat /value"), "default");
    files.fails(
        &d,
        "--target three",
        &["target stage \"three\" could not be found"],
    );
    files.fails(
        &d,
        "--target unused",
        &["did not complete successfully: exit code: 1"],
    );
}

#[test]
fn mistakes_name_the_line_and_are_drawn() {
    let d = Daemon::fresh();
    for (text, parts) in [
        (
            "FROM busybox\n\nCOPPY a b\n",
            &["Dockerfile:3:1", "unknown instruction: COPPY", "COPY"][..],
        ),
        (
            "FROM busybox\nCOPY nothing /x\n",
            &["Dockerfile:2:1", "\"/nothing\": not found"],
        ),
        (
            "FROM busybox\nCOPY --from=nowhere/none /a /b\n",
            &["nowhere/none"],
        ),
        (
            "FROM busybox\nENV A=${B:?must be set}\n",
            &["Dockerfile:2", "must be set"],
        ),
        ("FROM busybox\nEXPOSE 99999\n", &["Dockerfile:2", "99999"]),
        ("", &["cannot be empty"]),
    ] {
        Files::new(text).fails(&d, "", parts);
    }
    let files = Files::new("FROM busybox\n");
    files.fails(&d, "-f other", &["other"]);
}

#[test]
fn networks_hosts_and_limits_of_steps() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox
RUN grep 'one.test' /etc/hosts && ip addr show eth0
RUN --network=none ! ip addr show eth0
RUN grep -q '^Max open files *77 ' /proc/1/limits
RUN df -k /dev/shm | grep -q 8192
",
    );
    files.build(
        &d,
        "--add-host one.test:10.1.2.3 --ulimit nofile=77:77 --shm-size 8m",
    );
    let host = Files::new("FROM busybox\nRUN --network=host true\n");
    host.fails(&d, "", &["--allow network.host"]);
    host.build(&d, "--allow network.host");
    let insecure = Files::new("FROM busybox\nRUN --security=insecure true\n");
    insecure.fails(&d, "", &["security.insecure"]);
    insecure.fails(
        &d,
        "--allow security.insecure",
        &["security.insecure is not allowed by build daemon configuration"],
    );
    let config =
        r#"{"builder": {"entitlements": {"security-insecure": true, "network-host": false}}}"#;
    let d = Daemon::with(Opts {
        config: Some(config.to_owned()),
        ..Opts::default()
    });
    insecure.build(&d, "--allow security.insecure");
    host.fails(
        &d,
        "--allow network.host",
        &["network.host is not allowed by build daemon"],
    );
}

#[test]
fn steps_in_networks_of_ones_own() {
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("network create --subnet 10.98.0.0/24 steps");
    cli.ok("run -d --name neighbour --network steps busybox sleep 1000");
    let files = Files::new(
        "FROM busybox\nRUN ip addr show eth0 | grep 'inet 10.98.0.' && ping -c 1 neighbour\n",
    );
    files.build(&d, "--network steps");
    files.fails(&d, "--no-cache --network nosuch", &["nosuch"]);
    files.fails(
        &d,
        "--no-cache --network container:neighbour",
        &["is not supported for builds"],
    );
    let host = cli.ok("network inspect -f '{{.Id}}' host");
    files.fails(
        &d,
        &format!("--no-cache --network {host}"),
        &["is not supported for builds"],
    );
    cli.ok("rm -f neighbour");
    cli.ok("network rm steps");
}
