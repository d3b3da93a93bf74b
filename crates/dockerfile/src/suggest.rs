//! What somebody may have meant.

/// More changes than this and it is another word.
const MOST_CHANGES: usize = 3;

/// Among more names than this nobody looks for the nearest.
const MOST_NAMES: usize = 1000;

/// The name that is nearest to what was written, in any case of letters.
pub(crate) fn nearest<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    if names.len() > MOST_NAMES {
        return None;
    }
    let written: Vec<char> = written.to_lowercase().chars().take(64).collect();
    let distance = |name: &str| {
        let name: Vec<char> = name.to_lowercase().chars().collect();
        (distance(&written, &name), name.len())
    };
    names
        .iter()
        .map(|name| (distance(name), *name))
        .filter(|((changes, length), _)| {
            // Of a short name less may differ: everything is near to "id".
            *changes > 0 && *changes <= MOST_CHANGES.min(length / 2)
        })
        .min_by_key(|((changes, _), _)| *changes)
        .map(|(_, name)| name)
}

/// Changes of one letter, and swaps of two neighbours, that make one out of the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_is_proposed() {
        let names = ["COPY", "RUN", "ENTRYPOINT", "FROM"];
        for (written, meant) in [
            ("coppy", Some("COPY")),
            ("CPOY", Some("COPY")),
            ("FORM", Some("FROM")),
            ("ENTRYPIONT", Some("ENTRYPOINT")),
            ("RUNN", Some("RUN")),
            ("XYZ", None),
            ("copy", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, &names), meant, "{written}");
        }
    }
}
