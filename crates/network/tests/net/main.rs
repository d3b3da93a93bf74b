//! Networks on a real kernel, in namespaces of the tests' own. Needs root.

mod isolation;
mod lab;
mod lifecycle;
mod ports;
mod traffic;
