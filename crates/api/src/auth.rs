//! `X-Registry-Auth`: credentials as base64 of JSON, in whichever alphabet and padding a client
//! prefers.

use axum::http::{HeaderMap, HeaderValue};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;
use types::image::RegistryAuth;

use crate::{error::Refusal, json};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The credentials sent with a request, if any.
pub(crate) fn registry(headers: &HeaderMap) -> Result<Option<RegistryAuth>, Refusal> {
    let Some(header) = headers.get("x-registry-auth") else {
        return Ok(None);
    };
    // The value is a secret: no message repeats it.
    let bad = || {
        Refusal::bad(
            "invalid X-Registry-Auth header: it must be the base64url encoding of a JSON object",
        )
    };
    let Some(value) = decoded(header).map_err(|()| bad())? else {
        return Ok(None);
    };
    let auth = credentials(value).map_err(|()| bad())?;
    Ok((auth != RegistryAuth::default()).then_some(auth))
}

/// The JSON in a header of credentials, without what is null.
pub(crate) fn decoded(header: &HeaderValue) -> Result<Option<Value>, ()> {
    let text = header.to_str().map_err(drop)?.trim();
    let text = text.replace('+', "-").replace('/', "_");
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = LENIENT.decode(text).map_err(drop)?;
    let mut value = json::parse(&bytes).map_err(drop)?;
    types::json::drop_nulls(&mut value);
    Ok(Some(value).filter(|value| !value.is_null()))
}

/// Credentials whose members may be in any case, as in Go.
pub(crate) fn credentials(value: Value) -> Result<RegistryAuth, ()> {
    // A list would do for serde.
    if !value.is_object() {
        return Err(());
    }
    json::from_value(value).map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(value: &str) -> Result<Option<RegistryAuth>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert("x-registry-auth", value.parse().unwrap());
        registry(&headers)
    }

    #[test]
    fn every_base64_is_read() {
        assert_eq!(registry(&HeaderMap::new()).unwrap(), None);
        assert_eq!(decode("e30=").unwrap(), None);
        assert_eq!(decode("e30").unwrap(), None);
        assert_eq!(decode("bnVsbA==").unwrap(), None);
        // {"username":"a","password":"??>>"} in both alphabets
        for text in [
            "eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6Ij8/Pj4ifQ==",
            "eyJ1c2VybmFtZSI6ImEiLCJwYXNzd29yZCI6Ij8_Pj4ifQ",
        ] {
            let auth = decode(text).unwrap().unwrap();
            assert_eq!(
                (auth.username.as_str(), auth.password.as_str()),
                ("a", "??>>")
            );
        }
        let go = r#"{"Username":"a","PASSWORD":"b","email":null,"IdentityToken":"c"}"#;
        let auth = decode(&LENIENT.encode(go)).unwrap().unwrap();
        assert_eq!(
            (auth.username, auth.password, auth.identitytoken),
            ("a".into(), "b".into(), "c".into())
        );
        for text in ["!", "eyJ", "W10="] {
            let refusal = decode(text).unwrap_err();
            assert!(!refusal.message.contains(text) && refusal.status.as_u16() == 400);
        }
    }
}
