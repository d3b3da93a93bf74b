//! The name server as a process, asked over real sockets in network namespaces of the tests' own.

mod bench;
mod clients;
mod forward;
mod garbage;
mod lab;
mod own;
mod state;
mod tcp;
mod upstream;
