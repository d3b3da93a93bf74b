//! `events`.

use serde_json::{Value, json};
use types::event::Event;

use super::Context;
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{FILTER, FORMAT, Flag, Matches, text},
    format::{output, template::Document, time},
    tty,
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    FILTER,
    {
        let mut format = FORMAT;
        format.short = None;
        format
    },
    text("since", "From then on: a time, or a duration back from now"),
    text("until", "Until then: a time, or a duration back from now"),
];

/// `docker events`.
pub(crate) async fn events(context: &Context, m: Matches) -> Result {
    let format = m.text("format");
    let document = if format.is_empty() || format == "json" || format == "{{json .}}" {
        None
    } else {
        Some(Document::parse("", &format)?)
    };
    let raw = !format.is_empty() && document.is_none();
    let mut answer = Request::get("/events")
        .query_text("since", &time::bound(&m.text("since")).map_err(Error::msg)?)
        .query_text("until", &time::bound(&m.text("until")).map_err(Error::msg)?)
        .filters(&m.all("filter"))
        .send(&context.client)
        .await?;
    let show = async {
        while let Some(value) = answer.next::<Value>().await? {
            let line = if raw {
                value.to_string()
            } else {
                let event = read(value)?;
                match &document {
                    Some(document) => document.render(&fields(&event))?,
                    None => sentence(&event),
                }
            };
            output::line(&line)?;
        }
        Ok(())
    };
    tty::until_ended(show).await
}

fn read(mut value: Value) -> Result<Event> {
    types::json::drop_nulls(&mut value);
    if let Some(actor) = value.get_mut("Actor").and_then(Value::as_object_mut) {
        actor.entry("Attributes").or_insert_with(|| json!({}));
    }
    serde_json::from_value(value)
        .map_err(|e| Error::msg(format!("the daemon's event cannot be read: {e}")))
}

/// An event's fields under the names that templates know.
fn fields(event: &Event) -> Value {
    json!({
        "Status": event.status, "ID": event.id, "From": event.from, "Type": event.kind,
        "Action": event.action, "Actor": event.actor, "Scope": event.scope,
        "Time": event.time, "TimeNano": event.time_nano,
    })
}

fn sentence(event: &Event) -> String {
    let nanos = if event.time_nano == 0 {
        event.time.saturating_mul(1_000_000_000)
    } else {
        event.time_nano
    };
    let attributes: Vec<String> = event
        .actor
        .attributes
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let attributes = if attributes.is_empty() {
        String::new()
    } else {
        format!(" ({})", attributes.join(", "))
    };
    format!(
        "{} {} {} {}{attributes}",
        time::nano(nanos),
        event.kind,
        event.action,
        event.actor.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sentences() {
        let event = read(
            json!({"Type": "container", "Action": "start", "time": 1, "timeNano": 1_000_000_005,
            "Actor": {"ID": "abc", "Attributes": {"name": "x", "image": "busybox"}}}),
        )
        .unwrap();
        let text = sentence(&event);
        assert!(
            text.ends_with(" container start abc (image=busybox, name=x)"),
            "{text}"
        );
        assert!(text.contains(".000000005"), "{text}");
        assert_eq!(fields(&event)["Actor"]["ID"], "abc");
    }
}
