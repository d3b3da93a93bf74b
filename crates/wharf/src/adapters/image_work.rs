//! Longer work on images, and registries, for the API.

use api::backend;

use super::Images;

impl backend::ImageWork for Images {}
