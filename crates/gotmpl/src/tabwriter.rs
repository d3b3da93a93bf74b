//! Aligns columns as docker does through Go's text/tabwriter: cells end with a tab, a column is
//! a block of adjoining lines that have it, and cells after the last tab belong to no column.
//!
//! Widths are those of a terminal, not numbers of characters: docker counts wide characters as
//! two columns as well.

use unicode_width::UnicodeWidthStr;

/// A column is at least so wide,
const MIN_WIDTH: usize = 10;
/// and so much wider than its widest cell.
const PADDING: usize = 3;

/// Aligns the tab-separated cells of all lines of `text`.
pub fn align(text: &str) -> String {
    let mut lines: Vec<Vec<&str>> = text
        .split(['\n', '\x0c'])
        .map(|line| line.split(['\t', '\x0b']).collect())
        .collect();
    // Text that ends with a tab has no cell after it; a line that does has an empty one.
    if let Some(last) = lines.last_mut() {
        last.pop_if(|cell| cell.is_empty());
    }
    let mut widths: Vec<Vec<usize>> = lines
        .iter()
        .map(|cells| {
            cells[..cells.len().saturating_sub(1)]
                .iter()
                .map(|cell| cell.width())
                .collect()
        })
        .collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        for block in widths.chunk_by_mut(|a, b| (a.len() > column) == (b.len() > column)) {
            let cells = block.iter().filter_map(|line| line.get(column));
            let width = cells
                .map(|width| width + PADDING)
                .max()
                .unwrap_or(0)
                .max(MIN_WIDTH);
            block
                .iter_mut()
                .filter_map(|line| line.get_mut(column))
                .for_each(|cell| *cell = width);
        }
    }
    let mut out = String::new();
    for (i, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if i > 0 {
            out.push('\n');
        }
        for (j, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            let fill = widths
                .get(j)
                .map_or(0, |width| width.saturating_sub(cell.width()));
            out.extend(std::iter::repeat_n(' ', fill));
        }
    }
    out
}
