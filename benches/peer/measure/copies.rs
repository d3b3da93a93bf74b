//! Files to copy.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

/// Files of a kilobyte each, a hundred to a folder.
pub(crate) fn many_files(dir: &Path, count: usize) {
    for n in 0..count {
        let folder = dir.join(format!("d{}", n / 100));
        if n % 100 == 0 {
            fs::create_dir_all(&folder).expect("/tmp is writable");
        }
        let text = format!("{n:>1023}\n");
        fs::write(folder.join(format!("f{n}")), text).expect("/tmp has room");
    }
}

/// A file of so many megabytes that no compression makes much smaller.
pub(crate) fn fill(path: &Path, megabytes: usize) {
    let mut file = BufWriter::new(File::create(path).expect("/tmp is writable"));
    let mut word: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..megabytes * (1_000_000 / 8) {
        // xorshift64
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        file.write_all(&word.to_le_bytes()).expect("/tmp has room");
    }
    file.flush().expect("/tmp has room");
}
