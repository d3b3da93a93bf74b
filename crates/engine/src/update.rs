//! Changing a container's limits and restart policy, also while it runs.

use std::sync::Arc;

use types::container::{HostConfig, UpdateResponse};

use crate::{
    Engine, blocking,
    container::Container,
    error::{Error, Result},
    spec,
    state::Phase,
};

impl Engine {
    /// Changes what `change` gives, by Docker's rules: what is zero stays as it is.
    pub async fn update(&self, name: &str, change: HostConfig) -> Result<UpdateResponse> {
        let container = self.find(name)?;
        let refused = |error: Error| match error {
            Error::Invalid(text) => Error::Invalid(cannot(&container, &text)),
            Error::Conflict(text) => Error::Conflict(cannot(&container, &text)),
            error => error,
        };
        let _op = container.op.lock().await;
        let state = container.state();
        if state.phase == Phase::Removing || state.removed {
            return Err(Error::Conflict(cannot(
                &container,
                "container is marked for removal and cannot be \"update\"",
            )));
        }
        let (config, before) = container.with_record(|r| (r.config.clone(), r.host_config.clone()));
        let after = merged(&before, &change).map_err(refused)?;
        let warnings = spec::check(self, &config, &after).map_err(|e| match e {
            // The runtime's refusals are the request's fault, in Docker's words already.
            Error::Runtime(e) => Error::Invalid(e.to_string()),
            e => e,
        })?;
        if state.is_running() {
            let applied = self.apply(&container, &before, &after).await;
            sys::failpoint!("engine.update.applied");
            if let Err(error) = applied
                && !container.ends_now(state.exits).await
            {
                // What was changed before the one that failed is undone as far as it goes.
                let undone = self.apply(&container, &after, &before).await;
                crate::end::log_failure(&container, "a failed update is not undone", undone);
                return Err(error);
            }
        }
        self.save(&container, |r| r.host_config = after).await?;
        sys::failpoint!("engine.update.recorded");
        self.tell(&container, "update", &[]);
        Ok(UpdateResponse { warnings })
    }

    /// Gives the running container the limits of `after`.
    async fn apply(
        &self,
        container: &Arc<Container>,
        before: &HostConfig,
        after: &HostConfig,
    ) -> Result<()> {
        let (old, mut new) = (spec::resources(before), spec::resources(after));
        if old == new {
            return Ok(());
        }
        if old.pids_limit.is_some() {
            // Without one the kernel keeps the old bound.
            new.pids_limit = new.pids_limit.or(Some(-1));
        }
        let limits = runtime::spec::limits(&new, &spec::HOST)?;
        let group = self.group(container)?;
        let id = container.id.clone();
        blocking(move || {
            group.update(&limits).map_err(|e| Error::Io {
                what: format!("Cannot update container {id}"),
                source: std::io::Error::other(e),
            })
        })
        .await
    }
}

fn cannot(container: &Container, why: &str) -> String {
    format!("Cannot update container {}: {why}", container.id)
}

/// What a container's part for its host becomes.
fn merged(old: &HostConfig, change: &HostConfig) -> Result<HostConfig> {
    let conflict = |text: &str| Err(Error::Conflict(text.into()));
    for (new, was, names) in [
        (
            change.nano_cpus,
            old.cpu_period,
            ("Nano CPUs", "CPU Period"),
        ),
        (change.nano_cpus, old.cpu_quota, ("Nano CPUs", "CPU Quota")),
        (change.cpu_period, old.nano_cpus, ("CPU Period", "NanoCPUs")),
        (change.cpu_quota, old.nano_cpus, ("CPU Quota", "NanoCPUs")),
    ] {
        if new > 0 && was > 0 {
            let (new, was) = names;
            return conflict(&format!(
                "Conflicting options: {new} cannot be updated as {was} has already been set"
            ));
        }
    }
    if change.memory != 0 && change.memory > old.memory_swap && change.memory_swap == 0 {
        return conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the \
             memoryswap at the same time",
        );
    }
    if old.auto_remove && !matches!(change.restart_policy.name.as_str(), "" | "no") {
        return conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        );
    }
    let mut new = old.clone();
    for (field, given) in [
        (&mut new.memory, change.memory),
        (&mut new.memory_swap, change.memory_swap),
        (&mut new.memory_reservation, change.memory_reservation),
        (&mut new.kernel_memory, change.kernel_memory),
        (&mut new.nano_cpus, change.nano_cpus),
        (&mut new.cpu_shares, change.cpu_shares),
        (&mut new.cpu_period, change.cpu_period),
        (&mut new.cpu_quota, change.cpu_quota),
        (&mut new.cpu_realtime_period, change.cpu_realtime_period),
        (&mut new.cpu_realtime_runtime, change.cpu_realtime_runtime),
    ] {
        if given != 0 {
            *field = given;
        }
    }
    if change.blkio_weight != 0 {
        new.blkio_weight = change.blkio_weight;
    }
    for (field, given) in [
        (&mut new.cpuset_cpus, &change.cpuset_cpus),
        (&mut new.cpuset_mems, &change.cpuset_mems),
    ] {
        if !given.is_empty() {
            field.clone_from(given);
        }
    }
    if let Some(limit) = change.pids_limit {
        // 0 and less take the bound away.
        new.pids_limit = Some(limit).filter(|n| *n > 0);
    }
    if !change.restart_policy.name.is_empty() {
        new.restart_policy.clone_from(&change.restart_policy);
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use types::container::RestartPolicy;

    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let old = HostConfig {
            memory: 64 << 20,
            memory_swap: 128 << 20,
            pids_limit: Some(9),
            cpuset_cpus: "0".into(),
            ..HostConfig::default()
        };
        assert_eq!(merged(&old, &HostConfig::default()).unwrap(), old);
        let change = HostConfig {
            memory: 32 << 20,
            pids_limit: Some(0),
            restart_policy: RestartPolicy {
                name: "always".into(),
                maximum_retry_count: 0,
            },
            ..HostConfig::default()
        };
        let new = merged(&old, &change).unwrap();
        assert_eq!((new.memory, new.memory_swap), (32 << 20, 128 << 20));
        assert_eq!((new.pids_limit, new.cpuset_cpus.as_str()), (None, "0"));
        assert_eq!(new.restart_policy.name, "always");
    }

    #[test]
    fn contradictions_in_dockers_words() {
        let says =
            |old: HostConfig, change: HostConfig| merged(&old, &change).unwrap_err().to_string();
        let one = HostConfig::default;
        let with = |change: fn(&mut HostConfig)| {
            let mut host = one();
            change(&mut host);
            host
        };
        assert!(says(one(), with(|h| h.memory = 1)).starts_with("Memory limit should be smaller"));
        assert!(
            says(with(|h| h.nano_cpus = 1), with(|h| h.cpu_quota = 1))
                .starts_with("Conflicting options: CPU Quota cannot be updated")
        );
        assert!(
            says(
                with(|h| h.auto_remove = true),
                with(|h| h.restart_policy.name = "always".into())
            )
            .starts_with("Restart policy cannot be updated")
        );
    }
}
