//! Changes to containers' lives: update, rename, pause, prune.

use crate::{
    answer::Answer,
    dispatch::{Call, unsupported},
};

pub(crate) async fn update(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn rename(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn pause(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn unpause(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn prune(call: Call) -> Answer {
    unsupported(&call)
}
