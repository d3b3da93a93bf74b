//! `FROM`.

use super::flags::Flags;
use super::words;
use crate::From;
use crate::text::{Fault, Text};

pub(super) fn parse(flags: &Flags<'_>, text: Text<'_>, escape: char) -> Result<From, Fault> {
    flags.known(&["platform"], &[])?;
    let words = text.words();
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, r#as, name] if r#as.text.eq_ignore_ascii_case("as") => (image, Some(name)),
        [_, r#as, _] => {
            return Err(
                Fault::new(*r#as, "FROM requires either one or three arguments")
                    .hint("write FROM IMAGE AS NAME"),
            );
        }
        _ => {
            return Err(
                Fault::new(text, "FROM requires either one or three arguments")
                    .hint("write FROM IMAGE or FROM IMAGE AS NAME"),
            );
        }
    };
    words::check(*image, escape)?;
    let name = match name {
        None => None,
        Some(written) => Some(valid(*written)?),
    };
    Ok(From {
        image: image.text.to_owned(),
        platform: flags.text("platform")?.filter(|text| !text.is_empty()),
        name,
    })
}

/// The name of a stage in small letters.
fn valid(written: Text<'_>) -> Result<String, Fault> {
    let name = written.text.to_lowercase();
    let mut chars = name.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let goes_on =
        chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    if begins && goes_on {
        return Ok(name);
    }
    Err(Fault::new(
        written,
        format!(
            "invalid name for build stage: {}, name can't start with a number or contain symbols",
            words::expand_quote(written.text)
        ),
    ))
}
