//! Templates come from users: whatever they are, there is an answer and no panic.

use gotmpl::{Options, Template, align};
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
    const REFUSAL: &str = "template: :1: nested deeper than 100 levels; simplify it";
    for open in ["{{if 1}}", "{{range .l}}", "{{with .}}", "{{block `b` .}}"] {
        let nested = |count: usize| open.repeat(count) + "x" + &"{{end}}".repeat(count);
        // Blocks of the same name are refused for that, if they are not refused before.
        if !open.contains("block") {
            assert!(Template::parse("", &nested(50)).is_ok(), "{open}");
        }
        let error = Template::parse("", &nested(100_000)).unwrap_err();
        assert_eq!(error.to_string(), REFUSAL);
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
fn huge_widths_and_precisions_are_served() {
    let data = json!({"v": [7, -7, 2.5, -1e300, "text", true, [1]], "big": 70_000});
    for verb in "vdsqxXobBcUtfFeEgGTOpw".chars() {
        for flags in ["", "#0"] {
            for size in ["70000", ".70000", "*.*"] {
                let stars = "$.big ".repeat(size.matches('*').count());
                let template = format!(
                    "{{{{range .v}}}}{{{{printf `%{flags}{size}{verb}` {stars}.}}}}{{{{end}}}}"
                );
                assert!(render(&template, &data).is_ok(), "{template}");
            }
        }
    }
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
    assert_eq!(align(&("\t".repeat(5_000) + "\n")).len(), 50_001);
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
