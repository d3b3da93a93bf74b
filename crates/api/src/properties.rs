//! Nothing that a client sends makes a parser panic.

use proptest::prelude::*;

use crate::{detach::Escape, query::Query, route, signals, time};

proptest! {
    #[test]
    fn parsers_never_panic(text in "\\PC*") {
        let _ = route::find("GET", &text);
        let _ = route::find("POST", &format!("/v1.{text}/containers/{text}"));
        let _ = time::parse(&text);
        let _ = signals::check(&text);
        let _ = Escape::new(&text);
        if let Ok(query) = Query::parse(&text) {
            let _ = (query.bool(&text), query.number::<i64>(&text), query.time(&text));
        }
        if let Ok(query) = Query::parse(&format!("filters={text}&t={text}")) {
            let _ = (query.filters(&["label"]), query.time("t"), query.number::<u16>("t"));
        }
    }

    #[test]
    fn escapes_lose_nothing(chunks in prop::collection::vec(prop::collection::vec(15_u8..19, 0..9), 0..9)) {
        let mut escape = Escape::new("ctrl-p,ctrl-q,ctrl-p").unwrap();
        let typed: Vec<u8> = chunks.concat();
        let mut passed = Vec::new();
        let mut detached = false;
        for chunk in &chunks {
            let (bytes, end) = escape.filter(chunk);
            passed.extend(bytes);
            if end {
                detached = true;
                break;
            }
        }
        if detached {
            passed.extend([16, 17, 16]);
            prop_assert!(typed.starts_with(&passed));
        } else {
            passed.extend(escape.into_held());
            prop_assert_eq!(passed, typed);
        }
    }
}
