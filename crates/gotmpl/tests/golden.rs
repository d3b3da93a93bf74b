//! What Go prints is what we print: every case of golden.json, which golden/gen.go wrote.

use std::fmt::Write;

use gotmpl::{FieldType, MissingKey, Options, Template, align};
use serde_json::Value;

const GOLDEN: &str = include_str!("golden/golden.json");

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn options(group: &Value) -> Options {
    let missing_key = match text(group, "missing_key") {
        Some("error") => MissingKey::Error,
        Some("zero") => MissingKey::Zero,
        _ => MissingKey::Default,
    };
    // The one list of typed fields in the cases.
    let labels: fn(&str) -> FieldType = |name| match name {
        "Labels" => FieldType::StringMap,
        _ => FieldType::Any,
    };
    Options {
        missing_key,
        field_type: group.get("string_maps").map(|_| labels),
        ..Options::default()
    }
}

#[test]
fn templates_print_what_go_prints() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut total = 0;
    let mut wrong = String::new();
    for group in golden["groups"].as_array().unwrap() {
        let cases = &group["cases"];
        let group = &group["group"];
        let options = options(group);
        let name = text(group, "name").unwrap();
        for case in cases.as_array().unwrap() {
            total += 1;
            let template = text(case, "template").unwrap();
            let got = Template::parse(name, template)
                .and_then(|template| template.render(&group["data"], &options))
                .map_err(|error| error.to_string());
            let expected = match text(case, "expected") {
                Some(expected) => Ok(expected.to_owned()),
                None => Err(text(case, "error").unwrap().to_owned()),
            };
            if got != expected {
                writeln!(wrong, "{template}\n  Go:   {expected:?}\n  ours: {got:?}").unwrap();
            }
        }
    }
    assert!(total > 1000, "only {total} cases");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn columns_are_aligned_as_go_aligns_them() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    for case in golden["alignments"].as_array().unwrap() {
        let before = text(case, "text").unwrap();
        assert_eq!(align(before), text(case, "expected").unwrap(), "{before:?}");
    }
}
