//! The client's side of a build: what it is asked to do, the files that it is given, the talk with the
//! daemon while it runs, and what becomes of its result.

mod agent;
mod attributes;
mod caches;
mod call;
pub(crate) mod context;
mod inputs;
mod keys;
mod kinds;
mod layout;
mod names;
mod outputs;
mod report;
mod request;
mod secrets;
mod talk;

pub(crate) use attributes::fields as csv_fields;
pub(crate) use caches::Sinks;
pub(crate) use call::Call;
pub(crate) use context::blocking;
pub(crate) use inputs::Inputs;
pub(crate) use outputs::{Outputs, Sink};
pub(crate) use report::Report;
pub(crate) use request::ask;
pub(crate) use secrets::secrets;
pub(crate) use talk::talk;
