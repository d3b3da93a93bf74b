//! JSON as Go's encoding/json reads it, which is what Docker's clients are written for: names of
//! members in any case, `null` for what is left alone, and Go's words for what does not fit.
//!
//! One thing is stricter. Where a member is there twice, in one spelling or in several, Go takes
//! the last. Whoever looks at a request on its way, an authorisation plugin say, may take another
//! one than we do, so a body that can be read in two ways is refused.

mod go;
mod strict;

pub(crate) use go::{from_value, from_value_at, respell};
pub(crate) use strict::parse;
