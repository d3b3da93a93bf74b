//! What containers do and take.

use api::backend::Live;

use super::Fake;

impl Live for Fake {}
