//! Credentials as they stand in `config.json` under `auths`.

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value, json};
use types::image::RegistryAuth;

/// Base64 as people write it by hand, too: padding may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// The host in `server`, which may be an address: `https://reg.example/v1/` → `reg.example`.
pub(crate) fn hostname(server: &str) -> &str {
    let rest = server
        .strip_prefix("https://")
        .or_else(|| server.strip_prefix("http://"))
        .unwrap_or(server);
    rest.split('/').next().unwrap_or_default()
}

/// The entry for `server`: under its own name, or the first that is for the same host.
pub(super) fn find(auths: &Map<String, Value>, server: &str) -> Option<RegistryAuth> {
    let entry = auths.get(server).or_else(|| {
        let mut all = auths.iter();
        all.find(|(key, _)| hostname(key) == server)
            .map(|(_, entry)| entry)
    });
    decode(entry?, server)
}

/// Reads an entry; none where it says nothing, as those do whose secrets a helper keeps.
pub(super) fn decode(entry: &Value, server: &str) -> Option<RegistryAuth> {
    let text = |name: &str| {
        let value = entry.get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let (mut username, mut password) = (text("username"), text("password"));
    if let Ok(bytes) = LENIENT.decode(text("auth"))
        && let Ok(pair) = String::from_utf8(bytes)
        && let Some((name, secret)) = pair.split_once(':')
    {
        username = name.to_owned();
        password = secret.trim_matches('\0').to_owned();
    }
    let auth = RegistryAuth {
        username,
        password,
        email: text("email"),
        serveraddress: server.to_owned(),
        identitytoken: text("identitytoken"),
        registrytoken: text("registrytoken"),
        ..RegistryAuth::default()
    };
    says_something(&auth).then_some(auth)
}

/// Whether there is anything to present to a registry.
pub(super) fn says_something(auth: &RegistryAuth) -> bool {
    [&auth.username, &auth.identitytoken, &auth.registrytoken]
        .into_iter()
        .any(|text| !text.is_empty())
}

/// `auth` as an entry. Members of the `old` one that wharf does not know stay.
pub(super) fn encode(auth: &RegistryAuth, old: Option<&Value>) -> Value {
    let mut entry = old.and_then(Value::as_object).cloned().unwrap_or_default();
    // docker's older spelling of the same, in clear.
    entry.shift_remove("username");
    entry.shift_remove("password");
    let pair = if auth.username.is_empty() && auth.password.is_empty() {
        String::new()
    } else {
        LENIENT.encode(format!("{}:{}", auth.username, auth.password))
    };
    for (name, value) in [
        ("auth", &pair),
        ("email", &auth.email),
        ("identitytoken", &auth.identitytoken),
        ("registrytoken", &auth.registrytoken),
    ] {
        if value.is_empty() {
            entry.shift_remove(name);
        } else {
            entry.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_name_and_by_host() {
        let auths = json!({
            "https://reg.example/v2/": {"auth": "bWU6czpjcmV0"},
            "other.example:5000": {"username": "a", "password": "b"},
            "empty.example": {},
        });
        let auths = auths.as_object().unwrap();
        let pair = |server| find(auths, server).map(|a| (a.username, a.password));
        let both = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(pair("reg.example"), both("me", "s:cret"));
        assert_eq!(pair("https://reg.example/v2/"), both("me", "s:cret"));
        assert_eq!(pair("other.example:5000"), both("a", "b"));
        assert_eq!(pair("other.example"), None);
        assert_eq!(pair("empty.example"), None);
    }

    #[test]
    fn an_entry_comes_back_and_what_is_unknown_stays() {
        let auth = RegistryAuth {
            username: "me".into(),
            password: "p:w".into(),
            serveraddress: "r".into(),
            ..RegistryAuth::default()
        };
        let entry = encode(
            &auth,
            Some(&json!({"x": 1, "password": "old", "identitytoken": "t"})),
        );
        assert_eq!(entry, json!({"x": 1, "auth": "bWU6cDp3"}));
        assert_eq!(decode(&entry, "r"), Some(auth));
    }
}
