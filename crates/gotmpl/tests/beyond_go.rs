//! What the goldens, which come from Go 1.19 and its types, cannot hold.

use std::sync::Arc;

use gotmpl::{Method, Options, Template};
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
    let options = Options::inspect();
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
