//! Networks, to read, for the API.

use api::backend;

use super::Containers;

impl backend::Networks for Containers {}
