//! Files in containers, and what is made of them, for the API.

use api::backend;

use super::Containers;

impl backend::Files for Containers {}
