//! Starting and ending containers: the OCI configuration with Docker's security defaults, the
//! shim that stands beside each container and the protocol it speaks, and what is left to clean up
//! when a container is gone.

pub mod protocol;
