//! What the one thread waits for.

pub(crate) use companion::poll::Ready;

/// All that is waited for.
pub(crate) type Poll = companion::poll::Poll<Source, Due>;
/// One descriptor that is ready.
pub(crate) type Event = companion::poll::Event<Source>;

/// What a descriptor is; those with a number belong to a thing of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Where the daemon connects.
    Listener,
    /// A connection of the daemon's.
    Control,
    /// A socket that was handed over.
    Door,
    /// Tells that a container is gone.
    Life(u64),
    /// A connection's end at the client.
    Client(u64),
    /// A connection's end at the container.
    Target(u64),
    /// A client of UDP: answers for it.
    Session,
}

/// What is due at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A connection's patience is over.
    Flow(u64),
    /// A connection that had to wait for a pipe tries again.
    Again(u64),
    /// A client of UDP may have been idle too long.
    Session(u64),
    /// Doors that were shut may be opened again.
    Doors,
    /// Nobody may have needed this process for a while.
    Idle,
}
