//! `X-Registry-Auth`: credentials as base64 of JSON, in whichever alphabet and padding a client
//! prefers.

use axum::http::HeaderMap;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use types::image::RegistryAuth;

use crate::error::Refusal;

pub(crate) const LENIENT: GeneralPurpose = GeneralPurpose::new(
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
    let text = header.to_str().map_err(|_| bad())?.trim();
    let text = text.replace('+', "-").replace('/', "_");
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = LENIENT.decode(text).map_err(|_| bad())?;
    let mut value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    types::json::drop_nulls(&mut value);
    if value.is_null() {
        return Ok(None);
    }
    // A list would do for serde.
    if !value.is_object() {
        return Err(bad());
    }
    let auth: RegistryAuth = serde_json::from_value(value).map_err(|_| bad())?;
    Ok((auth != RegistryAuth::default()).then_some(auth))
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
        for text in ["!", "eyJ", "W10="] {
            let refusal = decode(text).unwrap_err();
            assert!(!refusal.message.contains(text) && refusal.status.as_u16() == 400);
        }
    }
}
