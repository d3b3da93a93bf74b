//! What containers do and take: processes, statistics, disk usage.

use crate::{
    answer::Answer,
    dispatch::{Call, unsupported},
};

pub(crate) async fn top(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn stats(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn disk_usage(call: Call) -> Answer {
    unsupported(&call)
}
