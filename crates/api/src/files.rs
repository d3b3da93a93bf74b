//! Files in containers and what is made of them: archives, changes, export, commit.

use crate::{
    answer::Answer,
    dispatch::{Call, unsupported},
};

pub(crate) async fn changes(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn export(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn archive_info(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn archive_get(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn archive_put(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn commit(call: Call) -> Answer {
    unsupported(&call)
}
