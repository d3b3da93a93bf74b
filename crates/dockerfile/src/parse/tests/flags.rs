//! Instructions with flags, mounts and documents.

use std::time::Duration;

use super::*;

#[test]
fn copies() {
    let all = copy(
        "COPY --from=build --chown=1:$G --chmod=u+x --link --parents=false --exclude=*.md \
         --exclude=\"a b\" a \"b\" /c/",
    );
    let expected = Copy {
        sources: vec![Source::Path("a".into()), Source::Path("\"b\"".into())],
        target: "/c/".into(),
        from: Some("build".into()),
        chown: Some("1:$G".into()),
        chmod: Some("u+x".into()),
        link: true,
        exclude: strings(&["*.md", "a b"]),
        ..Copy::default()
    };
    assert_eq!(all, expected);
    let add = copy("ADD --checksum=sha256:0 --keep-git-dir --unpack=false https://x/y [z");
    assert_eq!(add.checksum.as_deref(), Some("sha256:0"));
    assert_eq!((add.keep_git_dir, add.unpack), (true, Some(false)));
    let json = copy("COPY [\"a b\", \"<<c\", \"/d e\"]");
    assert_eq!(
        json.sources,
        [Source::Path("a b".into()), Source::Path("<<c".into())]
    );
    assert_eq!(json.target, "/d e");
}

#[test]
fn documents() {
    let made = copy("COPY <<a <<-\"b\" c /d/\n$x\na\n\t\ty\n\tb");
    let document = |name: &str, content: &str, expand| {
        Source::Heredoc(Heredoc {
            name: name.into(),
            content: content.into(),
            expand,
        })
    };
    assert_eq!(
        made.sources,
        [
            document("a", "$x\n", true),
            document("b", "y\n", false),
            Source::Path("c".into())
        ]
    );
    let lone = run("RUN <<EOF\n# not a comment\n\na \\\nb\nEOF");
    assert_eq!(
        lone.script().unwrap().content,
        "# not a comment\n\na \\\nb\n"
    );
    assert_eq!(lone.shell_text().unwrap(), "# not a comment\n\na \\\nb\n");
    assert_eq!(one("RUN <<EOF\n\n a\nb\nEOF").source, "RUN <<EOF (a...)");
    assert_eq!(one("RUN <<EOF\na\nEOF").source, "RUN <<EOF (a)");
    let python = run("RUN python3 <<-EOF >x 3<<'F'\n\tprint(1)\n\tEOF\nf\nF");
    assert_eq!(python.script(), None);
    assert_eq!(
        python.shell_text().unwrap(),
        "python3 <<-EOF >x 3<<'F'\nprint(1)\nEOF\nf\nF"
    );
    let mounted = run("RUN --mount=target=/x <<EOF\na\nEOF");
    assert!(mounted.script().is_some());
    for none in [
        "RUN a <<< b",
        "RUN echo $((1<<2))",
        "RUN [\"<<a\"]",
        "RUN echo $(( 1 << 2 ))",
        "RUN read -ra a <<< \"$X\"; echo \"${a[0]}\"",
        "RUN echo \"$((1<<3))\" # don't",
        "CMD <<EOF",
    ] {
        one(none);
    }
    let apart = run("RUN cat << EOF > /f\n[Desktop]\nEOF");
    assert_eq!(
        apart.shell_text().unwrap(),
        "cat << EOF > /f\n[Desktop]\nEOF"
    );
    let trigger = one("ONBUILD RUN <<-E\n\ta\n\tE");
    let Instruction::Onbuild(inner) = &trigger.value else {
        panic!();
    };
    assert_eq!(inner.source, "RUN <<-E\n\ta\nE");
    let again = parse_instruction(&inner.source).unwrap();
    assert_eq!(again.value, inner.value);
}

#[test]
fn mounts() {
    let cache =
        mount("type=cache,target=/a,sharing=Locked,id=x,mode=0755,uid=1,gid=2,from=b,src=c,ro");
    assert_eq!(cache.kind, MountKind::Cache);
    assert_eq!(cache.sharing, Some(Sharing::Locked));
    assert_eq!(
        (cache.mode, cache.uid, cache.gid),
        (Some(0o755), Some(1), Some(2))
    );
    assert_eq!(
        (cache.from.as_deref(), cache.source.as_deref()),
        (Some("b"), Some("c"))
    );
    assert_eq!(
        (cache.readonly, cache.id.as_deref()),
        (Some(true), Some("x"))
    );
    let bind = mount("dst=/a,rw=true");
    assert_eq!((bind.kind, bind.readonly), (MountKind::Bind, Some(false)));
    assert_eq!(mount("type=tmpfs,target=/a,size=1m").size, Some(1 << 20));
    let secret = mount("required,id=a,env=TOKEN,type=secret");
    assert_eq!(
        (secret.required, secret.env.as_deref()),
        (true, Some("TOKEN"))
    );
    assert!(mount("type=ssh,required=true").required);
    assert_eq!(mount("\\\"target=/a,b\\\"").target.as_deref(), Some("/a,b"));
    let two = run(
        "RUN --mount=target=/a --mount=type=cache,target=/b --network=none --security=insecure x",
    );
    assert_eq!(two.mounts.len(), 2);
    assert_eq!(two.network.as_deref(), Some("none"));
    assert_eq!(two.security.as_deref(), Some("insecure"));
}

struct Given;

impl crate::Variables for Given {
    fn get(&self, name: &str) -> Option<String> {
        let known = [
            ("T", "cache"),
            ("U", "7"),
            ("D", "/d"),
            ("S", "locked"),
            ("B", "oops"),
        ];
        let found = known.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

#[test]
fn mounts_with_variables() {
    let raw = mount("type=$T,target=$D/x,uid=${U},sharing=$S");
    assert!(raw.has_variables() && !mount("target=/x").has_variables());
    assert_eq!((raw.target.as_deref(), raw.uid), (Some("$D/x"), None));
    let full = raw.expanded('\\', &Given).unwrap();
    assert_eq!((full.kind, full.uid), (MountKind::Cache, Some(7)));
    assert_eq!(full.target.as_deref(), Some("/d/x"));
    assert_eq!(full.sharing, Some(Sharing::Locked));
    let why = mount("type=$B").expanded('\\', &Given).unwrap_err();
    assert_eq!(why, "unsupported mount type \"oops\"");
    let why = mount("type=tmpfs,uid=$U")
        .expanded('\\', &Given)
        .unwrap_err();
    assert_eq!(why, "uid not allowed for \"tmpfs\" type mounts");
}

#[test]
fn health() {
    let of = |text: &str| match one(text).value {
        Instruction::Healthcheck(health) => health,
        other => panic!("{other:?}"),
    };
    assert_eq!(of("HEALTHCHECK none"), Healthcheck::None);
    assert_eq!(
        of(
            "HEALTHCHECK --interval=5m --timeout=1.5s --start-period=0s --start-interval=2s \
            --retries=3 cmd curl x || exit 1"
        ),
        Healthcheck::Test {
            test: shell("curl x || exit 1"),
            interval: Some(Duration::from_secs(300)),
            timeout: Some(Duration::from_millis(1500)),
            start_period: None,
            start_interval: Some(Duration::from_secs(2)),
            retries: Some(3),
        }
    );
    let Healthcheck::Test { test, .. } = of("HEALTHCHECK CMD [\"a\"]") else {
        panic!();
    };
    assert_eq!(test, exec(&["a"]));
}
