//! The small programs this binary carries (see `build.rs`).

/// The shim that stands beside each container.
pub(crate) static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wharf-shim"));

/// The first process of containers with `--init`.
pub(crate) static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wharf-init"));

/// The name server of containers' own networks.
pub(crate) static DNS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wharf-dns"));

/// The relay of published ports.
pub(crate) static RELAY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wharf-relay"));

/// The one program of the image `wharf/hello`.
pub(crate) static HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

/// The OCI runtime: what `wharf runtime` becomes.
pub(crate) static OCI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/wharf-oci"));
