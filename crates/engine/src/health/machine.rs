//! What results of checks mean, apart from clocks and processes: Docker's rules.

use std::time::Duration;

use types::container::{ContainerConfig, Health, HealthConfig, HealthResult, HealthStatus};

use crate::error::{Error, Result};

/// As many results as Docker keeps.
const KEPT: usize = 5;
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// Docker's least duration, in nanoseconds.
const LEAST: i64 = 1_000_000;

/// How a container is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checks {
    /// Program and arguments.
    pub command: Vec<String>,
    pub timeout: Duration,
    interval: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

impl Checks {
    /// The checks of a container; none where it has none, or takes its image's away.
    pub(crate) fn of(config: &ContainerConfig) -> Option<Self> {
        let health = config.healthcheck.as_ref()?;
        let (kind, words) = health.test.split_first()?;
        let command = match kind.as_str() {
            "CMD" => words.to_vec(),
            "CMD-SHELL" => {
                let usual = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
                let own = Some(config.shell.clone()).filter(|s| !s.is_empty());
                own.unwrap_or_else(usual)
                    .into_iter()
                    .chain(words.iter().cloned())
                    .collect()
            }
            // NONE; and what Docker does not know is not run there either.
            _ => return None,
        };
        let time = |nanos: i64, default: Duration| match u64::try_from(nanos) {
            Ok(0) | Err(_) => default,
            Ok(nanos) => Duration::from_nanos(nanos),
        };
        Some(Self {
            command,
            timeout: time(health.timeout, TIMEOUT),
            interval: time(health.interval, INTERVAL),
            start_period: time(health.start_period, Duration::ZERO),
            start_interval: time(health.start_interval, START_INTERVAL),
            retries: match u32::try_from(health.retries) {
                Ok(0) | Err(_) => RETRIES,
                Ok(given) => given,
            },
        })
    }

    /// How long until the next check of a container that has run for `ran`.
    pub(crate) fn pause(&self, ran: Duration, status: HealthStatus) -> Duration {
        if ran < self.start_period && status == HealthStatus::Starting {
            self.start_interval
        } else {
            self.interval
        }
    }

    /// Takes in the result of a check that began after the container had run for `ran`; answers
    /// the new status if it is another one.
    pub(crate) fn judge(
        &self,
        health: &mut Health,
        ran: Duration,
        result: HealthResult,
    ) -> Option<HealthStatus> {
        let before = health.status;
        if result.exit_code == 0 {
            health.failing_streak = 0;
            health.status = HealthStatus::Healthy;
        } else if before != HealthStatus::Starting || ran >= self.start_period {
            health.failing_streak = health.failing_streak.saturating_add(1);
            if health.failing_streak >= self.retries {
                health.status = HealthStatus::Unhealthy;
            }
        }
        let surplus = (health.log.len() + 1).saturating_sub(KEPT);
        health.log.drain(..surplus);
        health.log.push(result);
        (health.status != before).then_some(health.status)
    }
}

/// The health of a container that starts for the first time.
pub(crate) fn fresh() -> Health {
    begin(Health::default())
}

/// The health at the start of a further run: Docker keeps the results.
pub(crate) fn begin(health: Health) -> Health {
    Health {
        status: HealthStatus::Starting,
        failing_streak: 0,
        log: health.log,
    }
}

/// Nothing is checked any more: Docker calls that unhealthy.
pub(crate) fn stop(health: &mut Option<Health>) {
    if let Some(health) = health {
        health.status = HealthStatus::Unhealthy;
    }
}

/// Refuses what Docker refuses, in its words.
pub(crate) fn check(health: Option<&HealthConfig>) -> Result<()> {
    let Some(health) = health else {
        return Ok(());
    };
    for (name, nanos) in [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ] {
        if nanos != 0 && nanos < LEAST {
            return Err(Error::Invalid(format!(
                "{name} in Healthcheck cannot be less than 1ms"
            )));
        }
    }
    if health.retries < 0 {
        return Err(Error::Invalid(
            "Retries in Healthcheck cannot be negative".into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checks(health: HealthConfig) -> Checks {
        let config = ContainerConfig {
            healthcheck: Some(HealthConfig {
                test: vec!["CMD".into(), "x".into()],
                ..health
            }),
            ..ContainerConfig::default()
        };
        Checks::of(&config).unwrap()
    }

    fn result(exit_code: i32) -> HealthResult {
        HealthResult {
            exit_code,
            ..HealthResult::default()
        }
    }

    #[test]
    fn commands() {
        let of = |test: &[&str], shell: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
            let config = ContainerConfig {
                healthcheck: Some(HealthConfig {
                    test: owned(test),
                    ..HealthConfig::default()
                }),
                shell: owned(shell),
                ..ContainerConfig::default()
            };
            Checks::of(&config).map(|c| c.command.join("|"))
        };
        assert_eq!(of(&["CMD", "a", "b"], &[]).as_deref(), Some("a|b"));
        assert_eq!(
            of(&["CMD-SHELL", "a b"], &[]).as_deref(),
            Some("/bin/sh|-c|a b")
        );
        assert_eq!(
            of(&["CMD-SHELL", "a"], &["bash", "-ec"]).as_deref(),
            Some("bash|-ec|a")
        );
        assert_eq!(of(&["NONE"], &[]), None);
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&["SOME", "a"], &[]), None);
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_until_one_succeeds() {
        let checks = checks(HealthConfig {
            start_period: 10_000_000_000,
            retries: 2,
            ..HealthConfig::default()
        });
        let (early, late) = (Duration::from_secs(9), Duration::from_secs(10));
        let mut health = fresh();
        for _ in 0..9 {
            assert_eq!(checks.judge(&mut health, early, result(1)), None);
        }
        assert_eq!((health.failing_streak, health.log.len()), (0, KEPT));
        assert_eq!(checks.pause(early, health.status), START_INTERVAL);
        assert_eq!(checks.pause(late, health.status), INTERVAL);
        let mut other = health.clone();
        assert_eq!(
            checks.judge(&mut health, early, result(0)),
            Some(HealthStatus::Healthy)
        );
        assert_eq!(checks.pause(early, health.status), INTERVAL);
        // Once it was healthy they count.
        assert_eq!(checks.judge(&mut health, early, result(1)), None);
        assert_eq!(
            checks.judge(&mut health, early, result(1)),
            Some(HealthStatus::Unhealthy)
        );
        assert_eq!(
            checks.judge(&mut health, early, result(0)),
            Some(HealthStatus::Healthy)
        );
        assert_eq!(checks.judge(&mut other, late, result(-1)), None);
        assert_eq!(
            checks.judge(&mut other, late, result(-1)),
            Some(HealthStatus::Unhealthy)
        );
    }

    #[test]
    fn dockers_refusals() {
        let with = |change: fn(&mut HealthConfig)| {
            let mut health = HealthConfig::default();
            change(&mut health);
            check(Some(&health)).map_err(|e| e.to_string())
        };
        assert_eq!(
            with(|h| h.interval = 999_999).unwrap_err(),
            "Interval in Healthcheck cannot be less than 1ms"
        );
        assert_eq!(
            with(|h| h.start_interval = -1).unwrap_err(),
            "StartInterval in Healthcheck cannot be less than 1ms"
        );
        assert_eq!(
            with(|h| h.retries = -1).unwrap_err(),
            "Retries in Healthcheck cannot be negative"
        );
        with(|h| h.timeout = LEAST).unwrap();
    }

    proptest! {
        /// Whatever comes: few results are kept, the streak counts failures since the last
        /// success, and who is unhealthy has failed often enough.
        #[test]
        fn any_sequence(
            codes in prop::collection::vec((-1..3, 0_u64..30), 0..40),
            retries in 0_i64..5,
            start in 0_i64..20,
        ) {
            let checks = checks(HealthConfig {
                retries,
                start_period: start * 1_000_000_000,
                ..HealthConfig::default()
            });
            let bound = if retries == 0 { RETRIES } else { u32::try_from(retries).unwrap() };
            let mut health = fresh();
            let mut ran = Duration::ZERO;
            for (code, step) in codes {
                ran += Duration::from_secs(step);
                let before = health.clone();
                let changed = checks.judge(&mut health, ran, result(code));
                prop_assert_eq!(changed, (health.status != before.status).then_some(health.status));
                prop_assert!(health.log.len() <= KEPT);
                prop_assert_eq!(health.log.last(), Some(&result(code)));
                if code == 0 {
                    prop_assert_eq!((health.status, health.failing_streak), (HealthStatus::Healthy, 0));
                } else {
                    prop_assert!(health.failing_streak <= before.failing_streak + 1);
                    prop_assert_eq!(
                        health.status == HealthStatus::Unhealthy,
                        health.failing_streak >= bound
                    );
                }
            }
        }
    }
}
