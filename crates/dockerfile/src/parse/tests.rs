use proptest::prelude::*;

use super::*;
use crate::{
    Command, Copy, Healthcheck, Heredoc, Instruction, Mount, MountKind, Run, Sharing, Source,
};

mod errors;
mod flags;

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
