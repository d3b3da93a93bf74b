//! Files in containers, and what is made of them.

use api::backend::Files;

use super::Fake;

impl Files for Fake {}
