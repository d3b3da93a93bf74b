//! References: whatever is accepted means the same however it is printed.

use image::Reference;
use proptest::prelude::*;

fn digest() -> impl Strategy<Value = String> {
    "[0-9a-f]{64}".prop_map(|hex| format!("sha256:{hex}"))
}

proptest! {
    #[test]
    fn valid_ones_survive_printing(
        domain in prop::option::of("(([a-z0-9]|[a-z0-9][a-z0-9-]{0,5}[a-z0-9])\\.){1,3}[a-z]{2}(:[0-9]{1,5})?"),
        // No dot in the first part: it would name a registry.
        path in "[a-z0-9]{1,8}((_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,6}(\\.[a-z]{1,2})?){0,3}",
        tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        digest in prop::option::of(digest()),
    ) {
        let mut text = domain.map_or(String::new(), |domain| format!("{domain}/"));
        text += &path;
        if let Some(tag) = &tag {
            text += &format!(":{tag}");
        }
        if let Some(digest) = &digest {
            text += &format!("@{digest}");
        }
        let parsed = Reference::parse(&text).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        prop_assert_eq!(parsed.tag(), tag.as_deref());
        prop_assert_eq!(parsed.digest(), digest.as_deref());
        prop_assert_eq!(Reference::parse(&parsed.to_string()), Ok(parsed.clone()));
        prop_assert_eq!(Reference::parse(&parsed.familiar()), Ok(parsed.clone()));
        prop_assert!(parsed.to_string().starts_with(&parsed.name()));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
        if let Ok(parsed) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&parsed.to_string()), Ok(parsed));
        }
    }

    #[test]
    fn nearly_valid_text_is_parsed_or_refused(text in "[a-zA-Z0-9:/@._\\[\\]-]{0,30}") {
        if let Ok(parsed) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&parsed.to_string()), Ok(parsed.clone()));
            prop_assert!(!parsed.path().contains("..") && !parsed.path().starts_with('/'));
        }
    }
}
