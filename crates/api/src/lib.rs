//! The Docker Engine API over HTTP: routes, versions, streams and statuses. It knows no engine:
//! it declares the narrow backends that it needs, and the binary supplies them.

pub mod backend;
