//! Which bytes of the content lie in which file.

use super::Metainfo;

/// A run of bytes inside one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index into [`Metainfo::files`].
    pub file: usize,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes, never zero.
    pub len: u64,
}

impl Metainfo {
    /// The runs that `len` bytes of content from `offset` consist of, in order.
    ///
    /// Files without bytes have no part in it, and nothing lies past the end of the content.
    pub fn spans(&self, offset: u64, len: u64) -> impl Iterator<Item = Span> + '_ {
        let end = offset.saturating_add(len).min(self.geometry.len());
        let first = self.files.partition_point(|file| file.offset + file.len <= offset);
        self.files
            .iter()
            .enumerate()
            .skip(first)
            .take_while(move |(_, file)| file.offset < end)
            .map(move |(index, file)| {
                let from = offset.max(file.offset);
                let to = end.min(file.offset + file.len);
                Span { file: index, offset: from - file.offset, len: to.saturating_sub(from) }
            })
            .filter(|span| span.len > 0)
    }
}
