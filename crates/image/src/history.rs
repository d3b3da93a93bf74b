//! How an image came about, and what its layers take.

use types::image::HistoryItem;

use crate::digest::Digest;
use crate::image::Image;
use crate::store::Store;

fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map_or(0, jiff::Timestamp::as_second)
}

impl Store {
    /// The steps of an image's making, the last one first. As Docker has it: only the last one
    /// bears the image's identifier and names.
    pub fn history(&self, image: &Image) -> Vec<HistoryItem> {
        let mut layers = image.diff_ids().iter();
        let mut rows: Vec<_> = image
            .config
            .history
            .iter()
            .map(|step| {
                let layer = if step.empty_layer {
                    None
                } else {
                    layers.next()
                };
                HistoryItem {
                    id: "<missing>".to_owned(),
                    created: seconds(step.created.as_deref()),
                    created_by: step.created_by.clone().unwrap_or_default(),
                    tags: None,
                    size: layer.map_or(0, |id| self.layer_size(id)).cast_signed(),
                    comment: step.comment.clone().unwrap_or_default(),
                }
            })
            .collect();
        // Tools that tell nothing of their steps.
        rows.extend(layers.map(|id| HistoryItem {
            id: "<missing>".to_owned(),
            size: self.layer_size(id).cast_signed(),
            ..HistoryItem::default()
        }));
        rows.reverse();
        if let Some(last) = rows.first_mut() {
            last.id = image.id.to_string();
            last.tags = Some(image.repo_tags()).filter(|tags| !tags.is_empty());
        }
        rows
    }

    fn layer_size(&self, diff_id: &Digest) -> u64 {
        self.0.layers.get(diff_id).map_or(0, |meta| meta.size)
    }
}
