//! Signals that are meant for the process, and the terminal's changes of size.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesOrdered};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::size;
use crate::{
    client::{Client, Request},
    error::Error,
};

/// Whose terminal.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A container's first process.
    Container(String),
    /// A further process.
    Exec(String),
}

impl Target {
    fn path(&self) -> String {
        match self {
            Self::Container(id) => format!("/containers/{id}/resize"),
            Self::Exec(id) => format!("/exec/{id}/resize"),
        }
    }
}

/// Gives the process's terminal the size of ours, now and at every change. Never ends. The first
/// time is tried again for a while, because the process may not have started yet.
pub(crate) async fn watch_size(client: &Client, target: Target) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return std::future::pending().await;
    };
    let mut wait = Duration::from_millis(10);
    while !resize(client, &target).await && wait < Duration::from_secs(1) {
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    while changes.recv().await.is_some() {
        resize(client, &target).await;
    }
    std::future::pending().await
}

/// Gives the container's terminal another size than ours for a moment, so that a program that has
/// shown its prompt before draws it again for who attaches now.
pub(crate) async fn nudge(client: &Client, target: &Target) {
    if let Some((rows, columns)) = size() {
        set_size(
            client,
            target,
            rows.saturating_add(1),
            columns.saturating_add(1),
        )
        .await;
    }
}

async fn resize(client: &Client, target: &Target) -> bool {
    match size() {
        Some((rows, columns)) => set_size(client, target, rows, columns).await,
        None => true,
    }
}

async fn set_size(client: &Client, target: &Target, rows: u16, columns: u16) -> bool {
    Request::post(&target.path())
        .query("h", &rows.to_string())
        .query("w", &columns.to_string())
        .done(client)
        .await
        .is_ok()
}

/// The signals that are passed on: all that ask something of a process, and can be caught.
const FORWARDED: &[(i32, &str)] = &[
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (10, "USR1"),
    (12, "USR2"),
    (14, "ALRM"),
    (15, "TERM"),
    (18, "CONT"),
    (20, "TSTP"),
];

/// Waits for a signal that ends programs; answers the exit code that says so. Catches them from
/// the call on, polled or not.
pub(super) fn ending() -> impl Future<Output = u8> {
    let mut streams: Vec<(u8, Signal)> = [1u8, 2, 3, 15]
        .into_iter()
        .filter_map(|n| Some((n, signal(SignalKind::from_raw(i32::from(n))).ok()?)))
        .collect();
    std::future::poll_fn(move |context| {
        for (number, stream) in &mut streams {
            if stream.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(128 + *number);
            }
        }
        std::task::Poll::Pending
    })
}

/// Does `work`, unless a signal ends the program first: then with the code that says so, as docker's
/// CLI does. Who calls us from a script is not ended by it, as it would be if the signal killed us.
pub(crate) async fn until_ended<T>(
    work: impl Future<Output = crate::error::Result<T>>,
) -> crate::error::Result<T> {
    tokio::select! {
        done = work => done,
        code = ending() => Err(Error::Status(code)),
    }
}

/// How often a user asks the container to end before we stop waiting for it.
const PATIENCE: u32 = 3;

/// Passes signals on to the container `id`; registers when first polled. Ends, with what is to be
/// said, when the container did not end although it was asked to several times.
pub(crate) async fn forward(client: &Client, id: &str) -> Error {
    let mut streams: Vec<(&str, Signal)> = FORWARDED
        .iter()
        .filter_map(|(number, name)| Some((*name, signal(SignalKind::from_raw(*number)).ok()?)))
        .collect();
    let mut asked = 0;
    let mut sending = FuturesOrdered::new();
    loop {
        let next = std::future::poll_fn(|context| {
            for (name, stream) in &mut streams {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*name);
                }
            }
            std::task::Poll::Pending
        });
        let name = tokio::select! {
            name = next => name,
            // A container that has just ended is no concern of the signal's sender.
            Some(_) = sending.next() => continue,
        };
        if matches!(name, "INT" | "TERM") {
            asked += 1;
            if asked == PATIENCE {
                return Error::msg("\ngot 3 SIGTERM/SIGINTs, forcefully exiting");
            }
        }
        let request = Request::post(&format!("/containers/{id}/kill")).query("signal", name);
        sending.push_back(request.done(client));
    }
}
