//! What is measured, a file a subject: each answers with rows of the table.

pub(crate) mod builds;
pub(crate) mod copies;
pub(crate) mod images;
pub(crate) mod lists;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod networks;
pub(crate) mod starts;
