//! JSON with indentation, of four spaces mostly. It works on the text, so that numbers and escapes stay
//! as the daemon wrote them.

/// Indents `json`, which must be well formed, by `depth` levels more than its own.
pub(crate) fn indent(json: &str, depth: usize) -> String {
    indent_with(json, depth, "    ")
}

/// [`indent`] with another `step`.
pub(crate) fn indent_with(json: &str, mut depth: usize, step: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut chars = json.chars().peekable();
    let mut quoted = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(step);
        }
    };
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            match c {
                '\\' => out.extend(chars.next()),
                '"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match c {
            c if c.is_ascii_whitespace() => {}
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = chars.next_if(|&n| n == '}' || n == ']') {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

/// Documents as one indented list.
pub(crate) fn list(documents: &[String]) -> String {
    if documents.is_empty() {
        return "[]\n".to_owned();
    }
    let all: Vec<String> = documents
        .iter()
        .map(|d| format!("    {}", indent(d, 1)))
        .collect();
    format!("[\n{}\n]\n", all.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_indented_and_kept() {
        let json = "{\"a\":{},\"b\":[ ],\"c\":[1.0,\"x,{\\\"\\u003c\"],\"d\":null}\n";
        assert_eq!(
            list(&[json.to_owned()]),
            "[\n    {\n        \"a\": {},\n        \"b\": [],\n        \"c\": [\n            1.0,\n            \"x,{\\\"\\u003c\"\n        ],\n        \"d\": null\n    }\n]\n"
        );
        assert_eq!(list(&[]), "[]\n");
    }
}
