//! Networks, to read.

use api::backend::Networks;

use super::Fake;

impl Networks for Fake {}
