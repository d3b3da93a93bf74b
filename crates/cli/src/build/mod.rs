//! The client's side of a build: what it is asked to do, the files that it is given, the talk with the
//! daemon while it runs, and what becomes of its result.

mod agent;
mod attributes;
mod caches;
pub(crate) mod context;
mod inputs;
mod kinds;
mod names;
mod outputs;
mod report;
mod request;
mod secrets;
mod talk;

pub(crate) use caches::Sinks;
pub(crate) use inputs::Inputs;
pub(crate) use outputs::{Outputs, Sink};
pub(crate) use report::Report;
pub(crate) use request::{ask, checks_only};
pub(crate) use talk::talk;
