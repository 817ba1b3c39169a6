//! Which files a user wants, and how urgently; what that means for pieces. Here because files are the
//! metainfo's affair: the peer engine knows pieces only.

use super::{FileEntry, Metainfo};
use crate::piece::PieceIndex;

/// How much a file or a piece is wanted. Whatever is higher is fetched first, strictly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Not at all.
    Skip,
    /// After all others.
    Low,
    /// As everything is unless somebody says otherwise.
    #[default]
    Normal,
    /// Before all others.
    High,
}

impl Metainfo {
    /// One priority for each piece, from one for each file: the highest of the files that it has bytes of,
    /// padding (BEP 47) aside. A file that `of_files` does not reach is normal.
    pub fn piece_priorities(&self, of_files: &[Priority]) -> Vec<Priority> {
        let geometry = self.geometry();
        let mut of_pieces = vec![Priority::Skip; geometry.pieces() as usize];
        let counts = |file: &FileEntry| file.len > 0 && !file.is_padding();
        for (index, file) in self.files().iter().enumerate().filter(|(_, file)| counts(file)) {
            let priority = of_files.get(index).copied().unwrap_or_default();
            let piece_at = |byte: u64| (byte / u64::from(geometry.piece_len())) as usize;
            let touched = piece_at(file.offset)..=piece_at(file.offset + file.len - 1);
            for piece in of_pieces.get_mut(touched).unwrap_or_default() {
                *piece = (*piece).max(priority);
            }
        }
        of_pieces
    }

    /// The pieces that file `index` has bytes in, in order.
    pub fn pieces_of(&self, index: usize) -> impl Iterator<Item = PieceIndex> + use<> {
        let geometry = self.geometry();
        let file = self.files().get(index).filter(|file| file.len > 0);
        let piece_at = |byte: u64| (byte / u64::from(geometry.piece_len())) as u32;
        let bounds = file.map(|file| (piece_at(file.offset), piece_at(file.offset + file.len - 1)));
        bounds
            .into_iter()
            .flat_map(|(first, last)| first..=last)
            .filter_map(move |piece| geometry.piece(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PieceHash;
    use crate::metainfo::create::{Content, Draft};

    /// Files of these lengths in pieces of 16 KiB.
    fn torrent(lens: &[u64]) -> Metainfo {
        let files = lens.iter().enumerate().map(|(index, &len)| (vec![format!("f{index}")], len)).collect();
        let draft = Draft::new("set", Content::Multi(files), Some(16_384)).unwrap();
        let hashes = vec![PieceHash::default(); draft.geometry().pieces() as usize];
        Metainfo::parse(&draft.finish(&hashes).unwrap()).unwrap()
    }

    #[test]
    fn a_piece_is_as_urgent_as_the_most_urgent_of_its_files() {
        use Priority::{High, Low, Normal, Skip};
        let metainfo = torrent(&[20_000, 0, 20_000, 10]);
        assert_eq!(metainfo.piece_priorities(&[Skip, High, Low, High]), [Skip, Low, High]);
        assert_eq!(metainfo.piece_priorities(&[High, Skip, Skip, Skip]), [High, High, Skip]);
        assert_eq!(metainfo.piece_priorities(&[]), [Normal; 3]);
    }

    #[test]
    fn a_file_has_the_pieces_that_its_bytes_lie_in() {
        let metainfo = torrent(&[20_000, 0, 20_000, 10]);
        let pieces = |index| metainfo.pieces_of(index).map(PieceIndex::get).collect::<Vec<_>>();
        assert_eq!([0, 1, 2, 3, 4].map(pieces), [vec![0, 1], vec![], vec![1, 2], vec![2], vec![]]);
    }
}
