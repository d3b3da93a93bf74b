use proptest::prelude::*;
use std::time::Duration;

use super::*;
use crate::{
    Command, Copy, Healthcheck, Heredoc, Instruction, Mount, MountKind, Run, Sharing, Source,
};

fn read(text: &str) -> Dockerfile {
    parse("Dockerfile", text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}\n{error}"))
}

/// The only instruction behind a `FROM`.
fn one(text: &str) -> Located<Instruction> {
    let file = read(&format!("FROM scratch\n{text}\n"));
    let [instruction] = file.stages[0].instructions.as_slice() else {
        panic!("{text:?}: {file:?}");
    };
    instruction.clone()
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn exec(list: &[&str]) -> Command {
    Command::Exec(strings(list))
}

fn shell(text: &str) -> Command {
    Command::Shell(text.to_owned())
}

fn run(text: &str) -> Run {
    match one(text).value {
        Instruction::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn copy(text: &str) -> Copy {
    match one(text).value {
        Instruction::Copy(copy) | Instruction::Add(copy) => copy,
        other => panic!("{other:?}"),
    }
}

fn mount(options: &str) -> Mount {
    run(&format!("RUN --mount={options} x")).mounts[0].clone()
}

#[test]
fn stages_and_arguments() {
    let file = read(
        "ARG A=1 B\nARG C=\"x y\"\nFROM --platform=$BUILDPLATFORM debian:${A} AS Build\nRUN a\n\
         from scratch\nCOPY --from=build /x /\nFROM a@sha256:0 as b.c-d_1\n",
    );
    let arguments: Vec<_> = file
        .global_args
        .iter()
        .flat_map(|line| &line.value)
        .map(|argument| (argument.name.as_str(), argument.default.as_deref()))
        .collect();
    assert_eq!(
        arguments,
        [("A", Some("1")), ("B", None), ("C", Some("\"x y\""))]
    );
    let stages: Vec<_> = file
        .stages
        .iter()
        .map(|stage| {
            let from = &stage.from;
            let (platform, name) = (from.platform.as_deref(), from.name.as_deref());
            (
                from.image.as_str(),
                platform,
                name,
                stage.instructions.len(),
                stage.span.line,
            )
        })
        .collect();
    assert_eq!(
        stages,
        [
            ("debian:${A}", Some("$BUILDPLATFORM"), Some("build"), 1, 3),
            ("scratch", None, None, 1, 5),
            ("a@sha256:0", None, Some("b.c-d_1"), 0, 7),
        ]
    );
    assert_eq!(file.stages[1].source, "FROM scratch");
}

#[test]
fn lines_are_joined() {
    for (text, source) in [
        ("run a \\\n  b", "RUN a   b"),
        ("RUN a \\\n# no\n  # no\n b", "RUN a  b"),
        ("RUN a \\  \n\n\n b", "RUN a  b"),
        ("RUN a \\\r\n b\r", "RUN a  b"),
        ("RUN a \\\n# no", "RUN a"),
        ("  \tRUN\t a", "RUN a"),
        ("RUN \\\n \\\n a", "RUN a"),
        ("RUN echo a\\\\", "RUN echo a\\\\"),
        ("RUN echo '# in'", "RUN echo '# in'"),
        ("# before\n\n#\nRUN a\n# behind", "RUN a"),
        ("R\\\nUN a", "RUN a"),
    ] {
        assert_eq!(one(text).source, source, "{text:?}");
    }
}

#[test]
fn places() {
    let file = read("# c\nFROM a\n\n  RUN x \\\n\n   y\nCOPY <<E /\nz\nE\nONBUILD  RUN x \\\n y\n");
    let places: Vec<_> = file.stages[0]
        .instructions
        .iter()
        .map(|i| (i.span.line, i.span.column, i.span.end_line))
        .collect();
    assert_eq!(places, [(4, 3, 6), (7, 1, 9), (10, 1, 11)]);
    let Instruction::Onbuild(inner) = &file.stages[0].instructions[2].value else {
        panic!();
    };
    assert_eq!(
        (inner.span.line, inner.span.column, inner.span.end_line),
        (10, 10, 11)
    );
}

#[test]
fn directives() {
    let file = read(
        "# syntax=docker/dockerfile:1 more\n#Escape = `\n# check=skip=A, B;error=true;experimental=all\n\
         FROM a\nRUN a `\n b \\\n",
    );
    let directives = &file.directives;
    assert_eq!(directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(directives.escape, '`');
    assert_eq!(directives.check.skip, ["A", "B"]);
    assert!(directives.check.error && directives.check.experimental_all);
    assert_eq!(file.stages[0].instructions[0].source, "RUN a  b \\");
    for text in [
        "# a comment\n# escape=`\nFROM a",
        "\n# escape=`\nFROM a",
        "# unknown=1\n# escape=`\nFROM a",
        "FROM a\n# escape=`",
    ] {
        assert_eq!(read(text).directives.escape, '\\', "{text:?}");
    }
    assert_eq!(
        read("#!/usr/bin/x\n# escape=`\nFROM a").directives.escape,
        '`'
    );
    assert_eq!(read("\u{feff}# escape=`\nFROM a").directives.escape, '`');
    assert!(read("# check=skip=all\nFROM a").directives.check.skip_all);
}

#[test]
fn commands() {
    for (text, value) in [
        ("CMD a  b", Instruction::Cmd(shell("a  b"))),
        ("CMD [\"a\", \"b\"]", Instruction::Cmd(exec(&["a", "b"]))),
        ("CMD []", Instruction::Cmd(exec(&[]))),
        ("CMD", Instruction::Cmd(shell(""))),
        ("CMD ['a']", Instruction::Cmd(shell("['a']"))),
        ("CMD [\"a\"", Instruction::Cmd(shell("[\"a\""))),
        (
            "ENTRYPOINT [\"a\\nb\"]",
            Instruction::Entrypoint(exec(&["a\nb"])),
        ),
        ("entrypoint x", Instruction::Entrypoint(shell("x"))),
        (
            "SHELL [\"/bin/bash\", \"-c\"]",
            Instruction::Shell(strings(&["/bin/bash", "-c"])),
        ),
        ("USER a b", Instruction::User("a b".into())),
        ("WORKDIR /a b", Instruction::Workdir("/a b".into())),
        (
            "STOPSIGNAL SIGINT",
            Instruction::Stopsignal("SIGINT".into()),
        ),
        (
            "MAINTAINER it's me",
            Instruction::Maintainer("it's me".into()),
        ),
        (
            "EXPOSE 80 81/udp $P",
            Instruction::Expose(strings(&["80", "81/udp", "$P"])),
        ),
        ("VOLUME /a /b", Instruction::Volume(strings(&["/a", "/b"]))),
        ("VOLUME [\"/a b\"]", Instruction::Volume(strings(&["/a b"]))),
    ] {
        assert_eq!(one(text).value, value, "{text}");
    }
}

#[test]
fn pairs() {
    let of = |text: &str| match one(text).value {
        Instruction::Env(pairs) | Instruction::Label(pairs) => pairs,
        other => panic!("{other:?}"),
    };
    for (text, pairs) in [
        (
            "ENV a=1 b=\"x y\" c='$z'",
            vec![("a", "1"), ("b", "\"x y\""), ("c", "'$z'")],
        ),
        ("ENV a  x y ", vec![("a", "x y")]),
        ("ENV a=", vec![("a", "")]),
        ("ENV a=x\\ y b=2", vec![("a", "x\\ y"), ("b", "2")]),
        ("ENV a=1 \\\n  b=2", vec![("a", "1"), ("b", "2")]),
        ("LABEL \"a.b\"=\"c=d\"", vec![("\"a.b\"", "\"c=d\"")]),
        ("LABEL a b=c", vec![("a", "b=c")]),
    ] {
        let found = of(text);
        let found: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, pairs, "{text}");
    }
}

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
        "RUN a << b",
        "CMD <<EOF",
    ] {
        one(none);
    }
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

#[test]
fn single_instructions() {
    let cmd = parse_instruction("cmd [\"a\"]").unwrap();
    assert_eq!(
        (cmd.value, cmd.source.as_str()),
        (Instruction::Cmd(exec(&["a"])), "CMD [\"a\"]")
    );
    for (text, why) in [
        ("", "instruction:1:1: there is no instruction"),
        ("FROM a", "instruction:1:1: FROM cannot stand here"),
        (
            "CMD a\nCMD b",
            "instruction:2:1: only one instruction may stand here",
        ),
    ] {
        let said = parse_instruction(text).unwrap_err().to_string();
        assert_eq!(said.lines().next(), Some(why), "{text:?}");
    }
}

#[test]
fn every_error_has_its_words_and_place() {
    let cases = include_str!("../../tests/errors.txt");
    let mut made = String::new();
    for case in cases
        .split("=====\n")
        .filter(|case| !case.trim().is_empty())
    {
        let (input, _) = case.split_once("-----\n").unwrap();
        let text = input.replace("␍", "\r").replace("␤", "");
        let said = match parse("Dockerfile", text.as_bytes()) {
            Ok(file) => format!("no error: {file:?}"),
            Err(error) => error.to_string(),
        };
        made.push_str(&format!("=====\n{input}-----\n{said}\n"));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/errors.txt");
        std::fs::write(path, &made).unwrap();
        return;
    }
    for (made, kept) in made.lines().zip(cases.lines()) {
        assert_eq!(made, kept, "UPDATE_GOLDEN=1 writes tests/errors.txt anew");
    }
    assert_eq!(made.len(), cases.len());
}

#[test]
fn files_that_are_none() {
    let long = format!("FROM a\nRUN {}\n", "x".repeat(65536));
    for (text, why) in [
        (
            &b""[..],
            "Dockerfile:1:1: the Dockerfile (Dockerfile) cannot be empty",
        ),
        (b"\n\n", "Dockerfile:1:1: file with no instructions"),
        (b"# x\n", "Dockerfile:1:1: file with no instructions"),
        (
            b"ARG a\n",
            "Dockerfile:1:1: no build stage in current context (a Dockerfile needs a FROM)",
        ),
        (
            b"\xff\xfeF\0",
            "Dockerfile:1:1: the file is not UTF-8 but UTF-16 (save it as UTF-8)",
        ),
        (
            b"FROM a\nRUN caf\xe9\n",
            "Dockerfile:2:8: the line is not UTF-8 (save the file as UTF-8)",
        ),
        (
            long.as_bytes(),
            "Dockerfile:2:1: dockerfile line greater than maximum allowed size of 65535",
        ),
    ] {
        let error = parse("Dockerfile", text).unwrap_err().to_string();
        assert_eq!(error.lines().next(), Some(why));
    }
    // A comment may be in any encoding.
    parse("Dockerfile", b"# caf\xe9\nFROM a\n").unwrap();
}

/// Lines that are mostly instructions.
fn lines() -> impl Strategy<Value = String> {
    let keyword = prop::sample::select(instruction::KEYWORDS.to_vec());
    let rest = "[ a-z0-9$={}\\[\\]\"',<\\-/\\\\#:|é\n`]{0,30}";
    prop::collection::vec((keyword, rest), 0..5).prop_map(|lines| {
        let lines: Vec<String> = lines.iter().map(|(k, r)| format!("{k} {r}\n")).collect();
        format!("FROM scratch\n{}", lines.concat())
    })
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,80}", lines in lines()) {
        let _ = parse("Dockerfile", text.as_bytes());
        let _ = parse_instruction(&text);
        if let Err(error) = parse("Dockerfile", lines.as_bytes()) {
            let last = u32::try_from(lines.lines().count()).unwrap();
            prop_assert!((1..=last).contains(&error.span.line), "{error}");
        }
    }

    /// What an instruction says of itself is read as the same instruction.
    #[test]
    fn sources_are_read_again(lines in lines()) {
        let Ok(file) = parse("Dockerfile", lines.as_bytes()) else {
            return Ok(());
        };
        for stage in &file.stages {
            for instruction in &stage.instructions {
                if lines.contains("<<") {
                    continue;
                }
                let again = parse_instruction(&instruction.source);
                prop_assert_eq!(&again.unwrap().source, &instruction.source);
            }
        }
    }
}
