//! What containers do and take: statistics, disk usage.

use crate::{
    answer::Answer,
    dispatch::{Call, unsupported},
};

pub(crate) async fn stats(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn disk_usage(call: Call) -> Answer {
    unsupported(&call)
}
