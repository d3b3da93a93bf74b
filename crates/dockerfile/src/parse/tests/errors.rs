//! What is wrong, and where.

use super::*;

#[test]
fn every_error_has_its_words_and_place() {
    let cases = include_str!("../../../tests/errors.txt");
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
            "Dockerfile:2:1: dockerfile line greater than max allowed size of 65535",
        ),
    ] {
        let error = parse("Dockerfile", text).unwrap_err().to_string();
        assert_eq!(error.lines().next(), Some(why));
    }
    // A comment may be in any encoding.
    parse("Dockerfile", b"# caf\xe9\nFROM a\n").unwrap();
}
