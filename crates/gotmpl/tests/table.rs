//! List commands print what docker prints.

use gotmpl::table::Table;
use serde_json::{Value, json};

const HEADERS: [(&str, &str); 4] = [
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Labels", "LABELS"),
    ("Networks", "NETWORKS"),
];

fn rows() -> Vec<Value> {
    vec![
        json!({"ID": "0123456789ab", "Names": "web", "Labels": "com.x.role=a,tier=front", "Networks": "a,b"}),
        json!({"ID": "ba9876543210", "Names": "漢字", "Labels": "", "Networks": "bridge"}),
    ]
}

fn render(format: &str) -> Result<String, String> {
    Table::new(format, &HEADERS)
        .render(&rows())
        .map_err(|error| error.to_string())
}

#[test]
fn tables_have_headers_and_columns() {
    let expected = "CONTAINER ID   NAMES     NETWORKS\n\
                    0123456789ab   web       a,b\n\
                    ba9876543210   漢字      bridge\n";
    assert_eq!(
        render("table {{.ID}}\\t{{.Names}}\\t{{.Networks}}").as_deref(),
        Ok(expected)
    );
    assert_eq!(
        render("table {{.ID}}\t{{.Names}}\t{{.Networks}}").as_deref(),
        Ok(expected)
    );
    let none: [&Value; 0] = [];
    let empty = Table::new("table {{.ID}}\\t{{.Names}}", &HEADERS).render(none);
    assert_eq!(empty.as_deref(), Ok("CONTAINER ID   NAMES\n"));
}

#[test]
fn headers_are_left_alone_by_functions() {
    let format = "table {{upper .Names}}\\t{{json .ID}}\\t{{(split .Networks \",\")}}\\t{{truncate .ID 4}}\\t{{join (split .Networks \",\") \"+\"}}";
    let table = render(format).unwrap();
    assert_eq!(
        table
            .lines()
            .next()
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        "NAMES CONTAINER ID NETWORKS CONTAINER ID NETWORKS"
    );
    assert!(
        table.contains("WEB       \"0123456789ab\"   [a b]"),
        "{table}"
    );
    // Where a header makes no sense it ends, as docker's does.
    assert!(render("table {{.ID}}\\t{{index (split .Networks \",\") 0}}").is_ok());
}

#[test]
fn labels_have_columns() {
    let expected = "NAMES     ROLE      TIER\nweb       a         front\n漢字                \n";
    let got = render("table {{.Names}}\\t{{.Label \"com.x.role\"}}\\t{{.Label \"tier\"}}");
    assert_eq!(
        got.as_deref(),
        Ok(expected
            .replace("ROLE", "role")
            .replace("TIER", "tier")
            .as_str())
    );
}

#[test]
fn other_formats_print_lines() {
    assert_eq!(
        render("{{.ID}}").as_deref(),
        Ok("0123456789ab\nba9876543210\n")
    );
    assert_eq!(
        render("{{.ID}}\\t{{.Names}}").as_deref(),
        Ok("0123456789ab\tweb\nba9876543210\t漢字\n")
    );
    assert_eq!(
        render("{{.ID}}\\n{{.Names | printf \"%s\\t|\"}}").as_deref(),
        Ok("0123456789ab\nweb\t|\nba9876543210\n漢字\t|\n")
    );
    assert_eq!(
        render("{{join (split .Networks \",\") \"\\n\"}}").as_deref(),
        Ok("a\nb\nbridge\n")
    );
    assert_eq!(render("{{`\\t`}}x").as_deref(), Ok("\tx\n\tx\n"));
    assert_eq!(
        render("json").unwrap().lines().next(),
        Some(
            r#"{"ID":"0123456789ab","Names":"web","Labels":"com.x.role=a,tier=front","Networks":"a,b"}"#
        )
    );
}

#[test]
fn errors_read_as_dockers() {
    assert_eq!(
        render("{{.Foo}}").unwrap_err(),
        "template parsing error: template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""
    );
    assert_eq!(
        render("table {{.ID").unwrap_err(),
        "template parsing error: template: :1: unclosed action"
    );
    assert_eq!(
        render("{{foo}}").unwrap_err(),
        "template parsing error: template: :1: function \"foo\" not defined"
    );
}
