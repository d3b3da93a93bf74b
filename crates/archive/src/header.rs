//! What the first block of an archive looks like.

use std::ops::Range;

/// Where a tar archive says that it is one.
const USTAR: Range<usize> = 257..262;
/// The sum of the header's bytes.
const SUM: Range<usize> = 148..156;

/// Whether a block is the first one of a tar archive. The oldest say it only by the sum of its bytes.
#[must_use]
pub fn is_header(block: &[u8; 512]) -> bool {
    if &block[USTAR] == b"ustar" {
        return true;
    }
    let mut told = block[SUM].split(|b| matches!(b, 0 | b' '));
    let told = told.find(|digits| !digits.is_empty());
    let told = told.and_then(|digits| std::str::from_utf8(digits).ok());
    let told = told.and_then(|digits| u32::from_str_radix(digits, 8).ok());
    // Its own bytes count as spaces.
    let sum = block.iter().enumerate().map(|(at, byte)| match at {
        at if SUM.contains(&at) => u32::from(b' '),
        _ => u32::from(*byte),
    });
    block[0] != 0 && told == Some(sum.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_headers_are_told_by_their_sum() {
        let mut block = [0_u8; 512];
        assert!(!is_header(&block));
        block[..4].copy_from_slice(b"name");
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(b"00000000000");
        assert!(!is_header(&block));
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum::<u32>() + 8 * 32;
        block[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(is_header(&block));
        block[0] = b'N';
        assert!(!is_header(&block));
        block[USTAR].copy_from_slice(b"ustar");
        assert!(is_header(&block));
        assert!(!is_header(&[b'1'; 512]));
    }
}
