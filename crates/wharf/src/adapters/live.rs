//! What containers do and take, for the API.

use api::backend;

use super::Containers;

impl backend::Live for Containers {}
