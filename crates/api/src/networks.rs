//! Networks, to read.

use crate::{
    answer::Answer,
    dispatch::{Call, unsupported},
};

pub(crate) async fn list(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn inspect(call: Call) -> Answer {
    unsupported(&call)
}
