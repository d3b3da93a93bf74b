//! Attaching by a websocket.

use crate::{
    answer::Answer,
    dispatch::{Call, unsupported},
};

pub(crate) async fn attach(call: Call) -> Answer {
    unsupported(&call)
}
