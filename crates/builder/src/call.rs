//! `--call outline` and `--call targets`: what a Dockerfile offers, in BuildKit's JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use dockerfile::{Dockerfile, Span, Taken};
use serde_json::{Map, Value, json};
use types::build::BuildRequest;

use crate::{
    error::{Error, Result},
    plan,
};

/// The answer to a request that only asks.
pub(crate) fn answer(file: &Dockerfile, text: &[u8], request: &BuildRequest) -> Result<String> {
    let mut answer = match request.call.as_str() {
        "outline" => outline(file, text, request)?,
        "targets" => json!({"targets": targets(file)}),
        other => {
            return Err(Error::invalid(format!(
                "unknown method {other:?} of a build"
            )));
        }
    };
    answer["sources"] = json!([STANDARD.encode(text)]);
    Ok(answer.to_string())
}

fn outline(file: &Dockerfile, text: &[u8], request: &BuildRequest) -> Result<Value> {
    let platform = plan::platforms(request)?.swap_remove(0);
    let plan = plan::plan(file, text, request, platform)?;
    let outline = dockerfile::outline(file, plan.target, &plan.needed, &request.build_args);
    let args = outline.args.iter().map(|a| {
        object([
            ("name", json!(a.name)),
            ("description", json!(a.description)),
            ("value", json!(a.value)),
            ("location", location(a.span)),
        ])
    });
    let all = [
        ("name", json!(outline.name)),
        ("description", json!(outline.description)),
        ("args", args.collect()),
        ("secrets", taken(&outline.secrets)),
        ("ssh", taken(&outline.ssh)),
    ];
    Ok(object(all))
}

fn taken(list: &[Taken]) -> Value {
    let each = list.iter().map(|t| {
        object([
            ("name", json!(t.name)),
            ("required", json!(t.required)),
            ("location", location(t.span)),
        ])
    });
    each.collect()
}

fn targets(file: &Dockerfile) -> Value {
    let each = dockerfile::targets(file).into_iter().map(|t| {
        object([
            ("name", json!(t.name)),
            ("default", json!(t.default)),
            ("description", json!(t.description)),
            ("base", json!(t.base)),
            ("platform", json!(t.platform)),
            ("location", location(t.span)),
        ])
    });
    each.collect()
}

/// What has a value, as Go's `omitempty` has it.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let nothing = [json!(""), json!(false), json!([])];
    let fields = fields.into_iter().filter(|(_, v)| !nothing.contains(v));
    Value::Object(
        fields
            .map(|(k, v)| (k.to_owned(), v))
            .collect::<Map<_, _>>(),
    )
}

fn location(span: Span) -> Value {
    json!({"ranges": [{"start": {"line": span.line}, "end": {"line": span.end_line}}]})
}
