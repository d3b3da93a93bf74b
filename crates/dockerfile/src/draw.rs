//! Lines of a file with carets below what is wrong in them.

use unicode_width::UnicodeWidthChar;

/// As wide as a drawn line may be.
const WIDTH: usize = 100;

/// One line with carets below `length` characters from the (1-based) `column`; before it `first`,
/// the line where the instruction began, if that is another.
pub(crate) fn draw(
    first: Option<(u32, &str)>,
    (line, text): (u32, &str),
    column: u32,
    length: usize,
) -> String {
    let margin = line.to_string().len();
    let blank = " ".repeat(margin);
    let mut drawing = String::new();
    if let Some((number, text)) = first {
        let (shown, ..) = window(text, 0, 0);
        drawing.push_str(&format!(" {number:>margin$} | {shown}\n"));
        if number + 1 < line {
            drawing.push_str(&format!(" {blank} | ...\n"));
        }
    }
    let from = column.saturating_sub(1) as usize;
    let (shown, before, below) = window(text, from, length.max(1));
    drawing.push_str(&format!(" {line:>margin$} | {shown}\n"));
    drawing.push_str(&format!(
        " {blank} | {}{}",
        " ".repeat(before),
        "^".repeat(below.max(1))
    ));
    drawing
}

/// What is shown of a line: the text, the columns before the part that is marked, and its width.
fn window(text: &str, from: usize, length: usize) -> (String, usize, usize) {
    let shown: Vec<char> = text.trim_end().chars().map(harmless).collect();
    let from = from.min(shown.len());
    let to = (from + length).min(shown.len());
    // A long line is cut on both sides, so that what is wrong stays in sight.
    let start = if shown.len() > WIDTH {
        from.saturating_sub(WIDTH / 2)
    } else {
        0
    };
    let end = shown.len().min(start + WIDTH);
    let mut line = String::new();
    if start > 0 {
        line.push('…');
    }
    let before = usize::from(start > 0) + width(&shown[start..from]);
    line.extend(&shown[start..end]);
    if end < shown.len() {
        line.push('…');
    }
    (line, before, width(&shown[from..to.min(end).max(from)]))
}

/// Tabs are one column wide here, and what steers a terminal is not let through.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        _ if c.is_control() => '\u{fffd}',
        // Marks that turn the direction of writing would show another line than the one that is.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => c,
    }
}

fn width(text: &[char]) -> usize {
    text.iter().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn carets_stand_below_what_they_mean() {
        assert_eq!(
            draw(None, (7, "COPPY a b"), 1, 5),
            " 7 | COPPY a b\n   | ^^^^^"
        );
        assert_eq!(
            draw(Some((9, "RUN \\")), (12, "\t漢 --x\x1b"), 4, 3),
            "  9 | RUN \\\n    | ...\n 12 |  漢 --x\u{fffd}\n    |     ^^^"
        );
        assert_eq!(draw(None, (1, ""), 1, 0), " 1 | \n   | ^");
        assert_eq!(draw(None, (1, "ab"), 3, 1), " 1 | ab\n   |   ^");
    }

    #[test]
    fn long_lines_are_cut_around_it() {
        let text = format!("RUN {}HERE{}", "x".repeat(500), "y".repeat(500));
        let drawing = draw(None, (1, &text), 505, 4);
        let lines: Vec<&str> = drawing.lines().collect();
        assert!(lines[0].starts_with(" 1 | …") && lines[0].ends_with('…'));
        assert!(lines[0].chars().count() < 110);
        let at = lines[0].chars().position(|c| c == 'H');
        assert_eq!(at, lines[1].chars().position(|c| c == '^'));
    }
}
