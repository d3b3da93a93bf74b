//! `top`.

use serde_json::Value;
use types::container::TopResponse;
use unicode_width::UnicodeWidthStr;

use super::{Context, lenient::lenient};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::Matches,
    format::output,
};

/// Docker's least width of a column, and the gap after it.
const LEAST: usize = 20;
const GAP: usize = 3;

/// `docker top`.
pub(crate) async fn top(context: &Context, m: Matches) -> Result {
    let Some((name, arguments)) = m.args.split_first() else {
        return Err(Error::msg("no container was named"));
    };
    let answer: Value = Request::get(&format!("/containers/{name}/top"))
        .query_text("ps_args", &arguments.join(" "))
        .decode(&context.client)
        .await?;
    output::print(&table(&lenient(answer, "answer")?))
}

fn table(top: &TopResponse) -> String {
    let rows = || std::iter::once(&top.titles).chain(&top.processes);
    let widths: Vec<usize> = (0..top.titles.len())
        .map(|n| {
            let widest = rows().filter_map(|r| r.get(n)).map(|c| c.width()).max();
            (widest.unwrap_or(0) + GAP).max(LEAST)
        })
        .collect();
    let mut text = String::new();
    for row in rows() {
        for (n, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if n + 1 < row.len() {
                let width = widths.get(n).copied().unwrap_or(LEAST);
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width())));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_dockers() {
        let row = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let top = TopResponse {
            titles: row(&["PID", "CMD"]),
            processes: vec![row(&["12345678901234567890", "sleep 1"]), row(&["7", "ক"])],
        };
        let gap = " ".repeat(20);
        let text = table(&top);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("PID{gap}CMD"));
        assert_eq!(lines[1], "12345678901234567890   sleep 1");
        assert_eq!(lines[2], format!("7  {gap}ক"));
    }
}
