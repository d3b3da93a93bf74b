//! Answers in which other daemons have `null` where ours has nothing.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// Reads `value`, which is a `what` ("list", "answer") of the daemon's.
pub(crate) fn lenient<T: DeserializeOwned>(mut value: Value, what: &str) -> Result<T> {
    types::json::drop_nulls(&mut value);
    serde_json::from_value(value)
        .map_err(|e| Error::msg(format!("the daemon's {what} cannot be read: {e}")))
}

/// Reads the items of a list.
pub(crate) fn items<T: DeserializeOwned>(list: Vec<Value>) -> Result<Vec<T>> {
    list.into_iter().map(|item| lenient(item, "list")).collect()
}
