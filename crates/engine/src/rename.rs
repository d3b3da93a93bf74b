//! Giving a container another name.

use types::names;

use crate::{
    Engine,
    error::{Error, Result},
    sync::lock,
};

impl Engine {
    /// Gives a container another name: in memory at once or not at all, and then on disk.
    pub async fn rename(&self, name: &str, new: &str) -> Result<()> {
        if name.is_empty() || new.is_empty() {
            return Err(Error::Invalid(
                "Neither old nor new names may be empty".into(),
            ));
        }
        let container = self.find(name)?;
        let _op = container.op.lock().await;
        if container.state().removed {
            return Err(Error::NoSuchContainer(name.into()));
        }
        let new = new.strip_prefix('/').unwrap_or(new);
        let old = container.name();
        if old == new {
            return Err(Error::Invalid(
                "Renaming a container with the same name as its current name".into(),
            ));
        }
        if !names::is_valid(new) {
            return Err(Error::Invalid(format!(
                "Error when allocating new name: Invalid container name ({new}), only {} are \
                 allowed",
                names::ALLOWED
            )));
        }
        lock(&self.containers)
            .reserve(new, &container.id)
            .map_err(|e| Error::Conflict(format!("Error when allocating new name: {e}")))?;
        let saved = self.save(&container, |r| new.clone_into(&mut r.name)).await;
        if let Err(error) = saved {
            container.change_record(|r| r.name.clone_from(&old));
            lock(&self.containers).release(new, &container.id);
            return Err(error);
        }
        sys::failpoint!("engine.rename.recorded");
        lock(&self.containers).release(&old, &container.id);
        // It has its name, also where that is not known to others yet.
        let named = self.name_changed(&container);
        crate::end::log_failure(&container, "its name is not known to others", named);
        self.tell(&container, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }
}
