//! Changes to containers' lives, for the API.

use api::backend;

use super::Containers;

impl backend::Life for Containers {}
