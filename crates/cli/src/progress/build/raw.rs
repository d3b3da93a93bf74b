//! Progress for programs: BuildKit's `SolveStatus`, one a line.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use types::build::{BuildEvent, BuildWarning};

/// The line for `event`, if it is a matter of progress.
pub(super) fn line(event: &BuildEvent) -> Option<String> {
    let value = match event {
        BuildEvent::Vertex(vertex) => json!({"vertexes": [vertex]}),
        BuildEvent::Status(status) => json!({"statuses": [status]}),
        BuildEvent::Log(log) => json!({"logs": [log]}),
        BuildEvent::Warning(w) => json!({"warnings": [warning(w)]}),
        BuildEvent::Agent(_)
        | BuildEvent::Built(_)
        | BuildEvent::Cache(_)
        | BuildEvent::Error(_) => return None,
    };
    Some(format!("{value}\n"))
}

fn warning(w: &BuildWarning) -> Value {
    json!({
        "vertex": "",
        "level": 1,
        "short": STANDARD.encode(format!("{}: {} (line {})", w.rule, w.message, w.line)),
        "detail": [STANDARD.encode(&w.description)],
        "url": w.url,
        "sourceInfo": {
            "filename": w.file,
            "data": STANDARD.encode(w.source.join("\n")),
            "language": "Dockerfile",
        },
        "range": [{
            "start": {"line": w.line, "character": w.column.saturating_sub(1)},
            "end": {"line": w.end_line.max(w.line)},
        }],
    })
}

#[cfg(test)]
mod tests {
    use types::build::Vertex;

    use super::*;

    #[test]
    fn lines_are_solve_statuses() {
        let event = BuildEvent::Vertex(Vertex {
            digest: "sha256:aa".into(),
            name: "x".into(),
            cached: true,
            ..Vertex::default()
        });
        assert_eq!(
            line(&event).unwrap(),
            "{\"vertexes\":[{\"digest\":\"sha256:aa\",\"name\":\"x\",\"cached\":true}]}\n"
        );
        assert_eq!(line(&BuildEvent::Error("x".into())), None);
    }
}
