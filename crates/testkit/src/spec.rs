//! Checking answers against Docker's own description of its API.
//!
//! A small checker for what the description uses of Swagger 2.0: types, properties, items,
//! required, enumerations, `allOf`, `additionalProperties`. Null passes for arrays and objects,
//! as Docker itself sends it there.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixtures::{cached, workspace};
use crate::images::sha256;

/// A description of the API.
pub struct Spec {
    root: Value,
}

impl Spec {
    /// The description of version `1.51` or `1.41`. The first use turns the YAML into JSON.
    pub fn load(version: &str) -> Self {
        let yaml = workspace().join(format!("spec/docker-engine-api-{version}.yaml"));
        let text = fs::read(&yaml).expect("spec/ has that version");
        let json = cached(
            &format!("spec-{version}-{}.json", &sha256(&text)[..12]),
            |path| {
                let text = String::from_utf8(text.clone()).expect("UTF-8");
                write_json(&text, path);
            },
        );
        let root = serde_json::from_slice(&fs::read(json).expect("just made"));
        let mut root: Value = root.expect("just made");
        // Required there and described nowhere; Docker does not send it.
        let data = "/definitions/ImageManifestSummary/properties/ImageData/required";
        if let Some(Value::Array(names)) = root.pointer_mut(data) {
            names.retain(|name| name != "UnpackedSize");
        }
        Self { root }
    }

    /// The description as a fuzzer is to have it: errors may come that it does not name, and null
    /// where Docker has it.
    pub fn for_fuzzing(&self, base: &str) -> Value {
        let mut root = self.root.clone();
        root["basePath"] = base.into();
        loosen(&mut root["definitions"]);
        for methods in root["paths"]
            .as_object_mut()
            .into_iter()
            .flat_map(|p| p.values_mut())
        {
            for (_, operation) in methods.as_object_mut().into_iter().flatten() {
                loosen(&mut operation["responses"]);
            }
        }
        root
    }

    /// Panics with everything that is wrong in the body of an answer to `method` at `path`
    /// (without version and query) with `status`.
    #[track_caller]
    pub fn validate(&self, method: &str, path: &str, status: u16, body: &Value) {
        let wrong = self.check(method, path, status, body);
        assert!(
            wrong.is_empty(),
            "{method} {path} {status} is not as described:\n{}\n{body:#}",
            wrong.join("\n")
        );
    }

    /// Everything that is wrong in the body of an answer.
    pub fn check(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let path = path.split('?').next().unwrap_or_default();
        let response = match self.response(method, path, status) {
            Ok(response) => response,
            Err(wrong) => return vec![wrong],
        };
        let mut wrong = Vec::new();
        if let Some(schema) = response.get("schema") {
            self.value(schema, body, "", &mut wrong);
        }
        wrong
    }

    /// Everything that is wrong in an answer of a real daemon, with or without a JSON body.
    /// Docker's description leaves out many of the errors that Docker has, so an error that it
    /// does not name need only have the form of one.
    pub fn check_answer(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: Option<&Value>,
    ) -> Vec<String> {
        if status >= 400 {
            return match body {
                Some(body) => self.check_definition("ErrorResponse", body),
                None if method == "HEAD" => Vec::new(),
                None => vec!["an error without a message".to_owned()],
            };
        }
        match body {
            Some(body) => self.check(method, path, status, body),
            None => match self.response(method, path, status) {
                Err(wrong) => vec![wrong],
                // Docker answers these without what the description says.
                Ok(_) => Vec::new(),
            },
        }
    }

    fn response(&self, method: &str, path: &str, status: u16) -> Result<&Value, String> {
        let operation = self.operation(method, path);
        let operation =
            operation.ok_or_else(|| format!("the description has no {method} {path}"))?;
        let response = operation["responses"].get(status.to_string());
        response.ok_or_else(|| format!("status {status} is not described"))
    }

    /// The operation whose template fits `path` best: the one with the most literal text.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let paths = self.root["paths"].as_object()?;
        let fitting = paths.iter().filter(|(template, _)| fits(template, path));
        let (_, methods) = fitting.max_by_key(|(template, _)| literal(template))?;
        methods.get(method.to_ascii_lowercase())
    }

    /// A definition by its name, for bodies that are not a whole answer.
    pub fn check_definition(&self, name: &str, value: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        self.value(&self.root["definitions"][name], value, "", &mut wrong);
        wrong
    }

    fn value(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.root.pointer(reference.trim_start_matches('#'));
            return self.value(target.expect("references resolve"), value, at, wrong);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.value(part, value, at, wrong);
        }
        let kind = schema["type"]
            .as_str()
            .unwrap_or(if schema.get("properties").is_some() {
                "object"
            } else {
                ""
            });
        if value.is_null() {
            // The description does not say so, but Docker itself sends these as null.
            let sent_by_docker = at.ends_with(".MemorySwappiness") || at == ".ExitCode";
            let allowed = sent_by_docker || schema["x-nullable"] == true;
            if !matches!(kind, "array" | "object" | "") && !allowed {
                wrong.push(format!("{at}: null instead of {kind}"));
            }
            return;
        }
        let right = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => true,
        };
        if !right {
            wrong.push(format!("{at}: {value} instead of {kind}"));
            return;
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            wrong.push(format!("{at}: {value} is none of {allowed:?}"));
        }
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.value(&schema["items"], item, &format!("{at}[{i}]"), wrong);
                }
            }
            Value::Object(fields) => self.fields(schema, fields, at, wrong),
            _ => {}
        }
    }

    fn fields(
        &self,
        schema: &Value,
        fields: &serde_json::Map<String, Value>,
        at: &str,
        wrong: &mut Vec<String>,
    ) {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(required.as_str().unwrap_or_default()) {
                wrong.push(format!("{at}: {required} is missing"));
            }
        }
        for (name, field) in fields {
            let at = format!("{at}.{name}");
            if let Some(property) = schema["properties"].get(name) {
                self.value(property, field, &at, wrong);
            } else if schema["additionalProperties"].is_object() {
                self.value(&schema["additionalProperties"], field, &at, wrong);
            }
        }
    }

    /// Which properties of the definition `name` an object lacks: what clients may look for.
    pub fn lacking(&self, name: &str, value: &Value) -> Vec<String> {
        let properties = self.root["definitions"][name]["properties"].as_object();
        let names = properties.into_iter().flat_map(|p| p.keys());
        names
            .filter(|n| value.get(n.as_str()).is_none())
            .cloned()
            .collect()
    }
}

/// Lets arrays and objects be null, as [`Spec`] itself does.
fn loosen(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if matches!(fields.get("type"), Some(Value::String(t)) if t == "array" || t == "object")
            {
                fields.insert("x-nullable".to_owned(), true.into());
            }
            fields.values_mut().for_each(loosen);
        }
        Value::Array(items) => items.iter_mut().for_each(loosen),
        _ => {}
    }
}

fn write_json(yaml: &str, path: &Path) {
    let mut options = serde_saphyr::Options::default();
    options.budget = None; // trusted, and large
    let value: Value =
        serde_saphyr::from_str_with_options(yaml, options).expect("the description is YAML");
    fs::write(path, value.to_string()).expect("target/ is writable");
}

/// True if `path` is of the form of `template`; the name of an image may have slashes.
fn fits(template: &str, path: &str) -> bool {
    fn parts(template: &[&str], path: &[&str]) -> bool {
        match (template.first(), path.first()) {
            (None, None) => true,
            (Some(t), Some(p)) if t.starts_with('{') => {
                !p.is_empty()
                    && (parts(&template[1..], &path[1..])
                        || (*t == "{name}" && parts(template, &path[1..])))
            }
            (Some(t), Some(p)) => t == p && parts(&template[1..], &path[1..]),
            _ => false,
        }
    }
    fn split(s: &str) -> Vec<&str> {
        s.split('/').collect()
    }
    let (template, path) = (split(template), split(path));

    parts(&template, &path)
}

fn literal(template: &str) -> usize {
    template
        .split('/')
        .filter(|p| !p.starts_with('{'))
        .map(|p| p.len() + 1)
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Spec, fits};

    #[test]
    fn templates() {
        assert!(fits("/images/{name}/json", "/images/a/b/c:1/json"));
        assert!(fits("/containers/{id}/json", "/containers/web/json"));
        assert!(!fits("/containers/{id}/json", "/containers/a/b/json"));
    }

    #[test]
    fn tells_right_from_wrong() {
        let spec = Spec::load("1.51");
        spec.validate("GET", "/_ping", 200, &json!("OK"));
        let wrong = spec.check("GET", "/containers/x/json", 200, &json!({"Id": 5}));
        assert_eq!(wrong, [".Id: 5 instead of string"]);
        let wrong = spec.check("GET", "/no/such", 200, &json!({}));
        assert_eq!(wrong.len(), 1);
        let wrong = spec.check("POST", "/containers/create", 201, &json!({"Id": "x"}));
        assert_eq!(wrong, [": \"Warnings\" is missing"]);
    }
}
