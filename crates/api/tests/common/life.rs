//! Changes to containers' lives.

use api::backend::Life;

use super::Fake;

impl Life for Fake {}
