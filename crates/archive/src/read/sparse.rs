//! Files with holes, in the four ways that GNU tar has written them.

use std::io::{self, BufRead};

use super::number::number;
use super::{BLOCK, TarReader, bad};

/// Most pieces that a sparse file may have.
const MAX_SPARSE: usize = 1 << 16;

impl<R: BufRead> TarReader<R> {
    /// The old GNU way: the map is in the header and in blocks after it.
    pub(super) fn gnu_sparse_map(
        &mut self,
        block: &[u8; BLOCK],
    ) -> io::Result<(Vec<(u64, u64)>, u64)> {
        let field = |bytes: &[u8]| {
            number(bytes)
                .and_then(|n| u64::try_from(n).ok())
                .ok_or_else(|| bad("a sparse file's map is malformed"))
        };
        let mut map = Vec::new();
        let mut add = |bytes: &[u8]| -> io::Result<()> {
            for piece in bytes.chunks_exact(24) {
                if piece[0] == 0 {
                    break;
                }
                map.push((field(&piece[..12])?, field(&piece[12..])?));
            }
            if map.len() > MAX_SPARSE {
                Err(bad("a sparse file has too many pieces"))
            } else {
                Ok(())
            }
        };
        add(&block[386..482])?;
        let mut more = block[482] != 0;
        while more {
            let mut extra = [0_u8; BLOCK];
            io::Read::read_exact(&mut self.source, &mut extra)?;
            add(&extra[..504])?;
            more = extra[504] != 0;
        }
        Ok((map, field(&block[483..495])?))
    }

    /// PAX sparse format 1.0: the map is decimal lines at the beginning of the data.
    pub(super) fn pax_sparse_map(&mut self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut wanted = None;
        let mut digits = String::new();
        let mut used = 0_u64;
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            let Some(byte) = self.data()?.first().copied() else {
                return Err(bad("a sparse file's map ends early"));
            };
            self.consume(1);
            used += 1;
            if byte != b'\n' {
                digits.push(char::from(byte));
                if digits.len() > 20 {
                    return Err(bad("a sparse file's map is malformed"));
                }
                continue;
            }
            let value: u64 = digits
                .parse()
                .map_err(|_| bad("a sparse file's map is malformed"))?;
            digits.clear();
            if wanted.is_some() {
                numbers.push(value);
            } else {
                let pieces = usize::try_from(value).unwrap_or(usize::MAX);
                if pieces > MAX_SPARSE {
                    return Err(bad("a sparse file has too many pieces"));
                }
                wanted = Some(pieces * 2);
            }
        }
        let rest = used.wrapping_neg() % BLOCK as u64;
        for _ in 0..rest {
            if self.data()?.is_empty() {
                return Err(bad("a sparse file's map ends early"));
            }
            self.consume(1);
        }
        Ok(numbers)
    }
}

pub(super) fn check_sparse(map: &[(u64, u64)], size: u64, stored: u64) -> io::Result<()> {
    let mut end = 0;
    let mut total = 0_u64;
    for (offset, length) in map {
        let next = offset.checked_add(*length);
        let Some(next) = next.filter(|next| *next <= size && *offset >= end) else {
            return Err(bad("a sparse file's pieces overlap or go beyond its end"));
        };
        end = next;
        total += length;
    }
    if total != stored {
        return Err(bad("a sparse file's pieces do not match its data"));
    }
    Ok(())
}
