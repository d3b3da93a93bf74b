//! Templates come from users: whatever they are, there is an answer and no panic.

use std::sync::Arc;

use gotmpl::{FieldType, Method, MissingKey, Options, Template, align};
use proptest::prelude::*;
use serde_json::{Value, json};

fn render(template: &str, data: &Value) -> Result<String, String> {
    Template::parse("", template)
        .and_then(|template| template.render(data, &Options::default()))
        .map_err(|error| error.to_string())
}

fn data() -> Value {
    json!({
        "s": "größe", "n": 3, "f": 2.5, "b": true, "x": null, "l": [1, "a", null, [2]],
        "t": ["a", "b"], "m": {"k": "v", "n": {"k": 1}},
    })
}

/// Pieces that make up templates, so that random sequences get past the lexer.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "{{",
        "}}",
        "{{-",
        "-}}",
        " ",
        " ",
        " ",
        "\n",
        "(",
        ")",
        "|",
        ",",
        ":=",
        "=",
        "$",
        "$x",
        "$y",
        ".",
        ".s",
        ".l",
        ".m",
        ".m.k",
        ".x",
        ".missing",
        "nil",
        "true",
        "1",
        "2.5",
        "-1",
        "0x1F",
        "'a'",
        "\"%v %d\"",
        "`raw`",
        "\"",
        "\\",
        "if",
        "else",
        "else if",
        "end",
        "range",
        "with",
        "define \"t\"",
        "template \"t\"",
        "block \"b\"",
        "break",
        "continue",
        "index",
        "slice",
        "len",
        "printf",
        "\"%[1]*.3x|%+q\"",
        "print",
        "println",
        "and",
        "or",
        "not",
        "eq",
        "lt",
        "html",
        "js",
        "urlquery",
        "call",
        "json",
        "split",
        "join",
        "title",
        "lower",
        "upper",
        "pad",
        "truncate",
        "/*",
        "*/",
        "{{if .s}}",
        "{{range .l}}",
        "{{end}}",
        "{{else}}",
        "{{with .m}}",
        "{{template \"t\" .}}",
        "{{define \"t\"}}",
        "é",
        "\u{0}",
    ];
    prop_oneof![
        20 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "\\PC{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_templates_never_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        let _ = render(&pieces.concat(), &data());
    }

    #[test]
    fn random_actions_never_panic(pieces in proptest::collection::vec(piece(), 0..8)) {
        let _ = render(&format!("{{{{{}}}}}", pieces.join(" ")), &data());
    }

    #[test]
    fn random_formats_never_panic(
        format in "(%[-+# 0]{0,3}(\\[[0-9]\\])?([0-9]{0,3}|\\*)(\\.([0-9]{0,3}|\\*))?[vdsqxXobBcUtfFeEgGTOpwz]){1,4}",
        value in prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(data()),
        ],
    ) {
        let data = json!({"v": value, "w": 5});
        let template = format!("{{{{printf `{format}` .v .w .v}}}}");
        prop_assert!(render(&template, &data).is_ok());
    }

    #[test]
    fn random_text_is_copied(text in "[^{}]*") {
        prop_assert_eq!(render(&text, &Value::Null), Ok(text));
    }

    #[test]
    fn random_text_is_aligned(text in "[a漢\t\n]{0,60}") {
        let aligned = align(&text);
        prop_assert_eq!(aligned.matches('\n').count(), text.matches('\n').count());
        prop_assert!(!aligned.contains('\t'));
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [
        ("{{if 1}}", "{{end}}"),
        ("{{range .l}}", "{{end}}"),
        ("{{block `b` .}}", "{{end}}"),
    ] {
        let nested = |count: usize| open.repeat(count) + "x" + &close.repeat(count);
        assert!(Template::parse("", &nested(30)).is_ok(), "{open}");
        let error = Template::parse("", &nested(100_000))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "template: :1: nested deeper than 100 levels; simplify it"
        );
    }
    let nested = |count: usize| format!("{{{{{}1{}}}}}", "(".repeat(count), ")".repeat(count));
    assert_eq!(render(&nested(50), &data()).as_deref(), Ok("1"));
    let error = render(&nested(100_000), &data()).unwrap_err();
    assert_eq!(
        error,
        "template: :1: nested deeper than 100 levels; simplify it"
    );
    let error = render(&"{{(".repeat(100_000), &data()).unwrap_err();
    assert_eq!(
        error,
        "template: :1: unexpected \"{\" in parenthesized pipeline"
    );
}

#[test]
fn long_chains_are_fine() {
    let chain = format!(
        "{{{{if 0}}}}{}{{{{else}}}}x{{{{end}}}}",
        "{{else if 0}}".repeat(10_000)
    );
    assert_eq!(render(&chain, &data()).as_deref(), Ok("x"));
    let fields = format!("{{{{{}}}}}", ".q".repeat(50_000));
    assert_eq!(render(&fields, &data()).as_deref(), Ok("<no value>"));
    let pipes = format!("{{{{1{}}}}}", " | print".repeat(10_000));
    assert_eq!(render(&pipes, &data()).as_deref(), Ok("1"));
    assert_eq!(align(&"\t".repeat(5_000)).len(), 50_000);
}

#[test]
fn endless_recursion_ends_in_gos_error() {
    let bodies = [
        ("{{template `r` .}}", "{{template \"r\" .}}"),
        ("{{if 1}}{{with .}}{{template `r` .}}{{end}}{{end}}", ""),
        ("{{range .l}}{{template `r` $}}{{end}}", ""),
        ("{{((((template `r` .))))}}", "-"),
    ];
    for (body, at) in &bodies[..3] {
        let template = format!("{{{{define `r`}}}}{body}{{{{end}}}}{{{{template `r` .}}}}");
        let error = render(&template, &data()).unwrap_err();
        assert!(
            error.contains("exceeded maximum template depth ("),
            "{error}"
        );
        assert!(
            error.contains(&format!("executing \"r\" at <{at}")),
            "{error}"
        );
    }
    assert!(render(bodies[3].0, &data()).is_err());
    // Every level as deep as it can be.
    let deep = format!(
        "{}{{{{template `r` .}}}}{}",
        "{{with .}}".repeat(90),
        "{{end}}".repeat(90)
    );
    let template = format!("{{{{define `r`}}}}{deep}{{{{end}}}}{{{{template `r` .}}}}");
    assert!(
        render(&template, &data())
            .unwrap_err()
            .contains("exceeded maximum template depth (")
    );
    let parens = format!(
        "{{{{print {}index .l 0{}}}}}{{{{template `r` .}}}}",
        "(".repeat(90),
        ")".repeat(90)
    );
    let template = format!("{{{{define `r`}}}}{parens}{{{{end}}}}{{{{template `r` .}}}}");
    assert!(
        render(&template, &data())
            .unwrap_err()
            .contains("exceeded maximum template depth (")
    );
}

#[test]
fn data_as_deep_as_json_gets_are_walked() {
    let mut deep = json!({"end": "here"});
    for _ in 0..120 {
        deep = json!({"a": deep});
    }
    let template = "{{define `w`}}{{range $k, $v := .}}{{if eq $k `end`}}{{$v}}{{else}}{{template `w` $v}}{{end}}{{end}}{{end}}{{template `w` .}}";
    assert_eq!(render(template, &deep).as_deref(), Ok("here"));
    assert_eq!(
        render("{{.}}", &deep).unwrap().len(),
        "map[end:here]".len() + 120 * "map[a:]".len()
    );
    assert!(render("{{json .}}", &deep).is_ok());
}

#[test]
fn newer_go_is_followed_where_goldens_are_older() {
    let cases = [
        ("{{range 3}}{{.}}{{end}}", Ok("012")),
        ("{{range $i := 2}}{{$i}}{{else}}none{{end}}", Ok("01")),
        ("{{range 0}}x{{else}}none{{end}}", Ok("none")),
        ("{{range -1}}x{{else}}none{{end}}", Ok("none")),
        (
            "{{range $i, $j := 2}}{{end}}",
            Err(
                "template: :1:18: executing \"\" at <2>: can't use 2 to iterate over more than one variable",
            ),
        ),
        (
            "{{with .x}}a{{else with .s}}{{.}}{{else}}b{{end}}",
            Ok("größe"),
        ),
        ("{{with .x}}a{{else with .x}}{{.}}{{else}}b{{end}}", Ok("b")),
        ("{{$v := 0}}{{range $v = .t}}{{end}}{{$v}}", Ok("b")),
        (
            "{{$i := 0}}{{$v := 0}}{{range $i, $v = .t}}{{end}}{{$i}}{{$v}}",
            Ok("1b"),
        ),
        (r#"{{json "\b\f"}}"#, Ok(r#""\b\f""#)),
        (
            "{{1+2i}}",
            Err("template: :1: complex constants are not supported: \"1+2i\""),
        ),
        (
            "{{3i}}",
            Err("template: :1: complex constants are not supported: \"3i\""),
        ),
    ];
    for (template, expected) in cases {
        let got = render(template, &data());
        assert_eq!(
            got.as_deref().map_err(String::as_str),
            expected,
            "{template}"
        );
    }
}

#[test]
fn inspect_sees_dockers_types() {
    let options = Options {
        missing_key: MissingKey::Error,
        field_type: Some(|name| match name {
            "Labels" => FieldType::StringMap,
            "Binds" => FieldType::List,
            _ => FieldType::Any,
        }),
        ..Options::default()
    };
    let data = json!({"Labels": {"a": "b"}, "None": {"Labels": null}, "Binds": null, "X": null});
    let cases = [
        ("{{index .Labels \"nope\"}}", Ok("")),
        ("{{.Labels.nope}}", Ok("<no value>")),
        (
            "{{.None.Labels}}{{index .None.Labels \"x\"}}{{json .None.Labels}}",
            Ok("map[]null"),
        ),
        (
            "{{.Binds}}{{json .Binds}}{{len .Binds}}{{join .Binds \",\"}}",
            Ok("[]null0"),
        ),
        ("{{.X}}{{join .X \",\"}}", Ok("<no value>")),
        (
            "{{.Foo}}",
            Err("template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""),
        ),
    ];
    for (template, expected) in cases {
        let got =
            Template::parse("", template).and_then(|template| template.render(&data, &options));
        let got = got.map_err(|error| error.to_string());
        assert_eq!(
            got.as_deref().map_err(String::as_str),
            expected,
            "{template}"
        );
    }
}

#[test]
fn objects_keep_their_order_in_json() {
    let data = json!({"z": 1, "a": {"y": [], "b": null}});
    assert_eq!(
        render("{{json .}}", &data).as_deref(),
        Ok(r#"{"z":1,"a":{"y":[],"b":null}}"#)
    );
    assert_eq!(
        render("{{.}}", &data).as_deref(),
        Ok("map[a:map[b:<nil> y:[]] z:1]")
    );
}

#[test]
fn methods_get_their_arguments() {
    let options = Options {
        methods: vec![Method {
            name: "Get".into(),
            args: 1,
            run: Arc::new(|object, args| {
                let value = object.get(&args[0]).and_then(Value::as_str);
                value
                    .map(str::to_owned)
                    .ok_or_else(|| "no such thing".into())
            }),
        }],
        ..Options::default()
    };
    let cases = [
        ("{{.Get \"s\"}}", Ok("größe")),
        ("{{\"s\" | .Get | upper}}", Ok("GRÖßE")),
        ("{{.m.Get \"k\"}}", Ok("v")),
        (
            "{{.Get}}",
            Err(
                "template: :1:2: executing \"\" at <.Get>: wrong number of args for Get: want 1 got 0",
            ),
        ),
        (
            "{{.Get 1}}",
            Err("template: :1:7: executing \"\" at <1>: expected string; found 1"),
        ),
        (
            "{{.Get \"q\"}}",
            Err("template: :1:2: executing \"\" at <.Get>: error calling Get: no such thing"),
        ),
    ];
    for (template, expected) in cases {
        let got = Template::parse("", template).and_then(|t| t.render(&data(), &options));
        let got = got.map_err(|error| error.to_string());
        assert_eq!(
            got.as_deref().map_err(String::as_str),
            expected,
            "{template}"
        );
    }
}
