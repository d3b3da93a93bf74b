//! What a context is, told by how it looks.

use archive::Compression;

/// Whether something begins like an archive, packed or not.
pub(super) fn is_archive(head: &[u8]) -> bool {
    if Compression::of(head) != Compression::None {
        return true;
    }
    let Some(block) = head.first_chunk::<512>() else {
        return false;
    };
    if block[257..262] == *b"ustar" {
        return true;
    }
    // Older ones have nothing but a sum.
    let digits = &block[148..156];
    let text: String = digits.iter().map(|b| char::from(*b)).collect();
    let told = u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok();
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, b)| u64::from(if (148..156).contains(&at) { b' ' } else { *b }))
        .sum();
    told == Some(sum)
}

/// Whether it is a URL of the web.
pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// What is not here but at a URL, or in a git repository.
pub(super) fn is_remote(text: &str) -> bool {
    is_url(text)
        || ["git://", "ssh://", "git@", "github.com/"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn archives_and_texts_are_told_apart() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_old();
        header.set_path("x").unwrap();
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
        assert!(is_archive(&builder.into_inner().unwrap()));
        assert!(is_archive(&[0x1f, 0x8b, 8]));
        assert!(!is_archive(b"FROM x\n") && !is_archive(&[b'#'; 600]));
    }

    #[test]
    fn remotes_are_told_by_their_beginning() {
        for remote in [
            "https://x/y.git",
            "git@host:x",
            "github.com/a/b",
            "ssh://a/b",
        ] {
            assert!(is_remote(remote), "{remote}");
        }
        assert!(!is_remote(".") && !is_remote("http") && !is_remote("dir/github.com/x"));
    }
}
