//! Longer work on images: history, push, search, save, prune, registries.

use crate::{
    answer::Answer,
    dispatch::{Call, unsupported},
};

pub(crate) async fn history(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn push(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn search(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn prune(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn get(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn distribution(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn auth(call: Call) -> Answer {
    unsupported(&call)
}
