//! Room on the disk: preallocated files, and holes, which are known to be zeros without being read.

use std::fs::File;
use std::io;

/// When the disk's blocks are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocation {
    /// As content arrives: files have holes until then.
    #[default]
    Sparse,
    /// Before the download starts, so that a disk that is too small is known at once and files lie in one piece.
    Full,
}

/// Zeros written at a time where the system cannot allocate.
const ZEROS: usize = 1 << 20;

/// Takes blocks for all `len` bytes of `file`; what is there stays.
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    match system::allocate(file, len) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => fill(file, len),
        outcome => outcome,
    }
}

/// Bytes from `from` on, `len` of them, are in the file and have no blocks on the disk; false if that cannot be told.
pub(super) fn is_hole(file: &File, from: u64, len: u64) -> bool {
    let reaches = file.metadata().is_ok_and(|found| found.len() >= from + len);
    reaches && system::next_data(file, from).is_some_and(|data| data >= from + len)
}

/// Writes zeros from the end of `file` to byte `len`.
fn fill(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    let mut end = file.metadata()?.len();
    while end < len {
        let part = zeros.get(..(len - end).min(ZEROS as u64) as usize).unwrap_or_default();
        super::positioned::write_all_at(file, part, end)?;
        end += part.len() as u64;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io;

    use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
    use rustix::io::Errno;

    pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
        Ok(fallocate(file, FallocateFlags::empty(), 0, len)?)
    }

    /// The first byte from `from` on that has a block; the cursor that this moves is nobody's.
    pub(super) fn next_data(file: &File, from: u64) -> Option<u64> {
        match seek(file, SeekFrom::Data(from)) {
            Ok(at) => Some(at),
            Err(Errno::NXIO) => Some(u64::MAX),
            Err(_) => None,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    pub(super) fn allocate(_: &File, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn next_data(_: &File, _: u64) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocating_keeps_what_is_there() {
        for allocate in [allocate, fill] {
            let file = tempfile::tempfile().expect("a file");
            crate::storage::file::positioned::write_all_at(&file, b"content", 0).expect("written");
            allocate(&file, 3_000_000).expect("room");
            let mut bytes = [1; 9];
            crate::storage::file::positioned::read_exact_at(&file, &mut bytes, 0).expect("there");
            assert_eq!((&bytes, file.metadata().expect("there").len()), (b"content\0\0", 3_000_000));
        }
    }

    #[test]
    fn a_hole_is_never_where_data_is() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(4 << 20).expect("room");
        crate::storage::file::positioned::write_all_at(&file, b"data", 2 << 20).expect("written");
        assert!(!is_hole(&file, 0, (2 << 20) + 1) && !is_hole(&file, (2 << 20) + 3, 9));
        assert!(!is_hole(&file, 4 << 20, 1), "past the end is no hole");
    }
}
