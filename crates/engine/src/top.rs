//! The processes of a container, as the host's `ps` would show them.
//!
//! Docker runs `ps` on the host with the caller's arguments and keeps the lines of the container's
//! processes. Here `/proc` is read: nothing of the caller's reaches a program's command line, and
//! the cost does not grow with the host. The formats that people use are understood; what is not
//! is refused by name.

mod arguments;
mod column;
mod process;

use std::path::Path;

use types::container::TopResponse;

use crate::{
    Engine, blocking, clock,
    error::{Error, Result},
    pause,
};
use column::Machine;

impl Engine {
    /// The processes of a container; `arguments` are those of `ps`, `-ef` where there are none.
    pub async fn top(&self, name: &str, arguments: &str) -> Result<TopResponse> {
        let columns = arguments::read(arguments)?;
        let container = self.find(name)?;
        pause::not_restarting(&container)?;
        if !container.state().is_running() {
            return Err(Error::NotRunning(container.id.clone()));
        }
        let group = self.group(&container)?;
        blocking(move || {
            let machine = Machine::read(Path::new("/etc"), clock::now());
            let processes = group.pids().into_iter().filter_map(process::Process::read);
            Ok(TopResponse {
                titles: columns.iter().map(|c| c.title.clone()).collect(),
                processes: processes
                    .map(|p| {
                        columns
                            .iter()
                            .map(|c| c.column.show(&p, &machine))
                            .collect()
                    })
                    .collect(),
            })
        })
        .await
    }
}
