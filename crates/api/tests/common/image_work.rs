//! Longer work on images, and registries.

use api::backend::ImageWork;

use super::Fake;

impl ImageWork for Fake {}
