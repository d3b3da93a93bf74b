//! What the one thread waits for.

pub(crate) use companion::poll::Ready;

/// All that is waited for.
pub(crate) type Poll = companion::poll::Poll<Source, Due>;
/// One descriptor that is ready.
pub(crate) type Event = companion::poll::Event<Source>;

/// What a descriptor is. The numbers are those of askers; whatever else there is has the number
/// that it is waited for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Where the daemon connects.
    Listener,
    /// A connection of the daemon's.
    Control,
    /// An asker's questions.
    Udp(u64),
    /// An asker's connections to come.
    Accept(u64),
    /// Tells that an asker is gone.
    Life(u64),
    /// An asker's connection.
    Conn,
    /// A question that was passed on.
    Try,
}

/// What is due at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// Something more is to be done about a question that was passed on.
    Query(u64),
    /// A connection may have been idle too long.
    Conn(u64),
    /// What is known is to be written down.
    Save,
    /// Nobody may have needed this process for a while.
    Idle,
}
