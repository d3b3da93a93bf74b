//! `gc` of the configuration file: the automatic clean-up.

use serde_json::{Map, Value};

use super::{builder::seconds, parse, values::Values};
use crate::adapters::ImagePolicy;

/// What is kept of images that nothing uses.
pub(super) fn images(values: &Values) -> Result<ImagePolicy, String> {
    let mut policy = ImagePolicy::default();
    for member in values.list("gc") {
        let (name, text) = member.split_once('=').unwrap_or((&member, ""));
        if name != "images" {
            return Err(format!(
                "gc: {name} is not supported by wharf: there is images"
            ));
        }
        let object = serde_json::from_str(text).map_err(|e| format!("gc: images: {e}"))?;
        policy = read(&object)?;
    }
    Ok(policy)
}

fn read(object: &Map<String, Value>) -> Result<ImagePolicy, String> {
    let mut policy = ImagePolicy::default();
    let size = |name: &str, value: &Value| -> Result<u64, String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => return Err(format!("gc: images: {name}: {other} is no size")),
        };
        let bytes = parse::size(&text).map_err(|e| format!("gc: images: {name}: {e}"))?;
        u64::try_from(bytes).map_err(|_| format!("gc: images: {name}: {bytes} is no size"))
    };
    for (name, value) in object {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("enabled", Value::Bool(on)) => policy.enabled = *on,
            ("enabled", other) => {
                return Err(format!("gc: images: enabled: {other} is not true or false"));
            }
            ("keepStorage", value) => policy.keep_storage = Some(size(name, value)?),
            ("minFreeSpace", value) => policy.min_free = Some(size(name, value)?),
            ("unusedFor", Value::String(text)) => {
                let read = seconds(text).map_err(|e| e.replacen("builder: gc", "gc: images", 1))?;
                policy.unused_for = Some(read);
            }
            ("unusedFor", other) => {
                return Err(format!(
                    "gc: images: unusedFor: {other} is no duration: use \"48h\""
                ));
            }
            (other, _) => {
                return Err(format!("gc: images: {other} is not supported by wharf"));
            }
        }
    }
    let said =
        policy.keep_storage.is_some() || policy.min_free.is_some() || policy.unused_for.is_some();
    if policy.enabled && !said {
        return Err(
            "gc: images: say when they go: keepStorage, minFreeSpace or unusedFor".to_owned(),
        );
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<ImagePolicy, String> {
        read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_policy_says_when_images_go() {
        let policy = of(r#"{"enabled": true, "keepStorage": "20GB", "unusedFor": "48h"}"#).unwrap();
        assert_eq!(
            policy,
            ImagePolicy {
                enabled: true,
                keep_storage: Some(20 << 30),
                min_free: None,
                unused_for: Some(48 * 3600),
            }
        );
        assert!(!of("{}").unwrap().enabled, "off by default");
        for (bad, words) in [
            (r#"{"enabled": true}"#, "say when they go"),
            (r#"{"enabled": 1}"#, "not true or false"),
            (r#"{"minFreeSpace": "x"}"#, "minFreeSpace: invalid size"),
            (r#"{"unusedFor": "soon"}"#, "gc: images: invalid duration"),
            (r#"{"sand": 1}"#, "sand is not supported"),
        ] {
            let error = of(bad).unwrap_err();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }
}
