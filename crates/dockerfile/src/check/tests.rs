use super::*;

/// What is found in a file, as `line rule: message`.
fn found(text: &str, ignore: &str) -> Vec<String> {
    let file = crate::parse("Dockerfile", text.as_bytes()).unwrap();
    let ignore = Patterns::parse(ignore.as_bytes()).unwrap();
    let given = BTreeMap::from([("GIVEN".to_owned(), "x".to_owned())]);
    let base = ("known".to_owned(), vec!["BASE=1".to_owned()]);
    check_with(&file, Some(&ignore), &given, &BTreeMap::from([base]))
        .iter()
        .map(|warning| {
            format!(
                "{} {}: {}",
                warning.span.line, warning.rule, warning.message
            )
        })
        .collect()
}

fn in_stage(text: &str) -> Vec<String> {
    found(&format!("FROM scratch\n{text}\n"), "")
}

#[test]
fn good_files_are_left_alone() {
    for text in [
        "ARG V=1\nFROM --platform=$BUILDPLATFORM debian:${V} AS build\nARG GIVEN V TARGETARCH\n\
         ENV A=$V PATH=$PATH:/x\nWORKDIR /a\nWORKDIR b\nRUN echo $undefined\nCOPY --from=x $A $V /\n\
         EXPOSE 80 81/udp\nHEALTHCHECK CMD x\nCMD [\"a\"]\nENTRYPOINT [\"b\"]\n\
         FROM build\nCOPY $A /\nCMD [\"a\"]",
        "from scratch as a\nshell [\"/x\"]\ncmd a\n",
        "FROM scratch\nENV A=1\nENV B=${A} C=${D:-x}\nENV TOKEN_FILE=x PUBLIC_KEY=y\nLABEL x=\\$Z",
        "FROM unknown\nCOPY $OF_THE_IMAGE /",
        "# build is where it is built\nFROM scratch AS build\n# other\n\nARG X\n",
        "FROM scratch\nONBUILD RUN $X",
        "FROM debian@sha256:0123456789abcdef0123456789abcdef",
    ] {
        assert_eq!(found(text, ""), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn writing() {
    for (text, warning) in [
        (
            "FROM scratch AS Build",
            "1 StageNameCasing: Stage name 'Build' should be lowercase",
        ),
        (
            "FROM scratch as build",
            "1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
        ),
        (
            "FROM scratch\nCOPY a \\\n\n b",
            "4 NoEmptyContinuation: Empty continuation line",
        ),
        (
            "FROM scratch\ncopy a b",
            "2 ConsistentInstructionCasing: Command 'copy' should match the case of the command \
             majority (uppercase)",
        ),
        (
            "from scratch\nCopy a b\nuser x",
            "2 ConsistentInstructionCasing: Command 'Copy' should match the case of the command \
             majority (lowercase)",
        ),
        (
            "FROM scratch AS a\nFROM scratch AS a",
            "2 DuplicateStageName: Duplicate stage name \"a\", stage names should be unique",
        ),
        (
            "FROM scratch AS context",
            "1 ReservedStageName: Stage name should not use the same name as reserved stage \
             \"context\"",
        ),
        (
            "FROM scratch\nMAINTAINER me",
            "2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label",
        ),
        (
            "FROM scratch\nENV a b",
            "2 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key \
             value\" format",
        ),
        (
            "# check=experimental=all\n\n# here\nFROM scratch AS build",
            "4 InvalidDefinitionDescription: Comment for FROM should follow the format: `# build \
             <description>`",
        ),
        (
            "# check=experimental=InvalidDefinitionDescription\n# x\nARG A B=1\nFROM scratch",
            "3 InvalidDefinitionDescription: Comment for ARG should follow the format: `# \
             <arg_key> <description>`",
        ),
    ] {
        assert_eq!(found(text, ""), [warning], "{text}");
    }
}

#[test]
fn bases() {
    for (text, warning) in [
        (
            "ARG VERSION=1\nFROM debian:${VERSOIN:+x}x$VERSOIN",
            "2 UndefinedArgInFrom: FROM argument 'VERSOIN' is not declared (did you mean VERSION?)",
        ),
        (
            "FROM --platform=$BUILDPLATFROM debian",
            "1 UndefinedArgInFrom: FROM argument 'BUILDPLATFROM' is not declared (did you mean \
             BUILDPLATFORM?)",
        ),
        (
            "ARG TAG\nFROM debian:$TAG",
            "2 InvalidDefaultArgInFrom: Default value for ARG debian:$TAG results in empty or \
             invalid base image name",
        ),
        (
            "FROM --platform=$TARGETPLATFORM debian",
            "1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is \
             redundant as this is the default behavior",
        ),
        (
            "FROM --platform=linux/amd64 debian AS x",
            "1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \
             \"linux/amd64\"",
        ),
    ] {
        assert_eq!(found(text, ""), [warning], "{text}");
    }
    assert!(found("FROM --platform=linux/amd64 debian AS x-amd64", "").is_empty());
}

#[test]
fn stages() {
    for (text, warning) in [
        (
            "CMD a",
            "2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended \
             behavior related to OS signals",
        ),
        (
            "WORKDIR a\nWORKDIR b",
            "2 WorkdirRelativePath: Relative workdir \"a\" can have unexpected results if the base \
             image changes",
        ),
        (
            "CMD [\"a\"]\nCMD [\"b\"]",
            "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the \
             same stage because only the last one will be used",
        ),
        (
            "ENV DIRECTORY=/x\nCOPY a $DIERCTORY",
            "3 UndefinedVar: Usage of undefined variable '$DIERCTORY' (did you mean $DIRECTORY?)",
        ),
        (
            "ENV A=1 B=$A",
            "2 UndefinedVar: Usage of undefined variable '$A'",
        ),
        (
            "RUN --mount=target=$X a",
            "2 UndefinedVar: Usage of undefined variable '$X'",
        ),
        (
            "COPY <<E /\n$X\nE",
            "2 UndefinedVar: Usage of undefined variable '$X'",
        ),
        (
            "ARG NPM_TOKEN",
            "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \
             \"NPM_TOKEN\")",
        ),
        (
            "ENV Password=x",
            "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \
             \"Password\")",
        ),
        (
            "EXPOSE 80/TcP",
            "2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be \
             lowercase",
        ),
        (
            "EXPOSE 127.0.0.1:80:80",
            "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or \
             host-port mapping, found '127.0.0.1:80:80'",
        ),
    ] {
        assert_eq!(in_stage(text), [warning], "{text}");
    }
}

#[test]
fn base_images_that_are_known() {
    assert!(found("FROM known\nCOPY $BASE /", "").is_empty());
    assert_eq!(
        found("FROM known\nCOPY $OTHER /", ""),
        ["2 UndefinedVar: Usage of undefined variable '$OTHER'"]
    );
}

#[test]
fn ignored_files() {
    let text = "FROM scratch\nCOPY ./a/b c /\nADD a https://a/b /\nCOPY --from=x a /";
    assert_eq!(
        found(text, "a"),
        [
            "2 CopyIgnoredFile: Attempting to Copy file \"a/b\" that is excluded by .dockerignore",
            "3 CopyIgnoredFile: Attempting to Add file \"a\" that is excluded by .dockerignore",
        ]
    );
    assert!(found(text, "a\n!a/c").is_empty());
}

#[test]
fn what_is_skipped() {
    let text = "FROM scratch AS Build\nMAINTAINER x\n";
    let with = |check: &str| found(&format!("# check={check}\n{text}"), "").len();
    assert_eq!(with("error=true"), 2);
    assert_eq!(with("skip=StageNameCasing"), 1);
    assert_eq!(
        with("skip=StageNameCasing,MaintainerDeprecated;error=true"),
        0
    );
    assert_eq!(with("skip=all"), 0);
    let file = crate::parse("Dockerfile", text.as_bytes()).unwrap();
    let given =
        |text: &str| BTreeMap::from([("BUILDKIT_DOCKERFILE_CHECK".to_owned(), text.to_owned())]);
    assert_eq!(check(&file, None, &given("skip=all")).len(), 0);
    let warnings = check(&file, None, &given("skip=MaintainerDeprecated"));
    assert_eq!(
        warnings[0].url.as_deref(),
        Some("https://docs.docker.com/go/dockerfile/rule/stage-name-casing/")
    );
    let span = file.stages[0].span;
    let warning = |given| {
        base_image_platform(
            &file,
            &given,
            ("debian", span),
            "linux/arm64",
            "linux/amd64",
        )
    };
    assert_eq!(
        warning(BTreeMap::new()).unwrap().message,
        "Base image debian was pulled with platform \"linux/amd64\", expected \"linux/arm64\" for \
         current build"
    );
    assert_eq!(warning(given("skip=InvalidBaseImagePlatform")), None);
}
