//! The small languages in which docker's flags describe parts of a container.

pub(crate) mod devices;
pub(crate) mod env;
pub(crate) mod mount;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod ports;
pub(crate) mod ulimit;
pub(crate) mod volume;
