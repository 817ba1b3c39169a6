//! Which files are wanted, on the disk: where the bytes of the others go, and how they come back.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::PoisonError;

use proto::metainfo::{FileEntry, FileKind, Priority};
use proto::piece::PieceIndex;

use super::below::{self, Purpose};
use super::disk::{Absent, Access, Disk};
use super::positioned::write_all_at;
use super::room::{self, Allocation};

impl Disk {
    /// Files of priority [`Priority::Skip`] are not made from now on; what the part file keeps of the others moves
    /// to them, and is safe there before it is forgotten here.
    pub(super) fn select(&self, of_files: &[Priority]) -> io::Result<()> {
        let mut aside = self.aside.write().unwrap_or_else(PoisonError::into_inner);
        let mut chosen = vec![false; self.metainfo.files().len()];
        for (index, chosen) in chosen.iter_mut().enumerate() {
            let skipped = of_files.get(index) == Some(&Priority::Skip);
            let keeps_out = match self.access {
                Access::ReadWrite => skipped,
                // Whoever only reads takes the bytes from where a download left them.
                Access::ReadOnly => !self.parts.is_empty(),
            };
            *chosen = keeps_out && self.look_at(index)?.is_none();
        }
        if self.access == Access::ReadWrite {
            self.reunite(&chosen)?;
            self.make_room(&chosen)?;
        }
        *aside = chosen;
        Ok(())
    }

    /// Moves what the part file keeps of files that do not stay aside. A file that is there was never aside.
    fn reunite(&self, aside: &[bool]) -> io::Result<()> {
        let stays = |index: &usize| aside.get(*index) == Some(&true);
        let (mut moving, mut done) = (BTreeSet::new(), Vec::new());
        for piece in self.parts.pieces().into_iter().filter_map(|piece| self.metainfo.geometry().piece(piece))
        {
            let files = self.files_of(piece);
            if !files.iter().any(stays) {
                done.push(piece.get());
            }
            moving.extend(files.into_iter().filter(|index| !stays(index)));
        }
        for index in moving {
            if self.look_at(index)?.is_none() {
                self.move_out(index).map_err(|error| self.blame("create", index, error))?;
            }
        }
        self.parts.forget(done)
    }

    /// Makes file `index` of what the part file keeps of it: under another name first, so that a file that is there
    /// is never one of which half was moved when the power failed.
    fn move_out(&self, index: usize) -> io::Result<()> {
        let geometry = self.metainfo.geometry();
        let beside = format!(".{}.moving", self.metainfo.info_hash());
        let executable =
            self.metainfo.files().get(index).is_some_and(|entry| entry.kind == FileKind::Executable);
        let purpose = Purpose::Create { executable };
        let file = below::open(&self.root, std::slice::from_ref(&beside), purpose)?;
        file.set_len(0)?;
        for piece in self.metainfo.pieces_of(index) {
            let (start, mut at) = (geometry.start_of(piece), 0);
            for span in self.metainfo.spans(start, geometry.len_of(piece).into()) {
                let mut bytes = vec![0; if span.file == index { span.len as usize } else { 0 }];
                match self.parts.read(piece, at, &mut bytes) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    outcome => {
                        outcome?;
                        write_all_at(&file, &bytes, span.offset)?;
                    }
                }
                at += span.len as u32;
            }
        }
        file.sync_all()?;
        let path = self.path(index);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        self.refuse_links(index)?;
        std::fs::rename(self.root.join(beside), path)?;
        self.name_made(index);
        Ok(())
    }

    /// The files that `piece` has bytes of, padding aside.
    fn files_of(&self, piece: PieceIndex) -> Vec<usize> {
        let geometry = self.metainfo.geometry();
        let spans = self.metainfo.spans(geometry.start_of(piece), geometry.len_of(piece).into());
        let files = spans.map(|span| span.file);
        files
            .filter(|&index| self.metainfo.files().get(index).is_some_and(|entry| !entry.is_padding()))
            .collect()
    }

    /// Takes blocks for every file that is wanted, if that is to be done beforehand.
    fn make_room(&self, aside: &[bool]) -> io::Result<()> {
        if self.allocation == Allocation::Sparse {
            return Ok(());
        }
        let wanted = |(index, entry): &(usize, &FileEntry)| {
            entry.len > 0 && !entry.is_padding() && aside.get(*index) != Some(&true)
        };
        for (index, entry) in self.metainfo.files().iter().enumerate().filter(wanted) {
            let file = self.file(index, Absent::Create)?;
            self.touch(index);
            room::allocate(&file, entry.len).map_err(|error| self.blame("make room for", index, error))?;
        }
        Ok(())
    }

    /// Makes the symbolic link that entry `index` is; one that is there stays as it is.
    pub(super) fn link(&self, index: usize, target: &[String]) -> io::Result<()> {
        let path = self.path(index);
        let Some((_, folders)) = self.components(index).split_last() else { return Ok(()) };
        // From the link's folder up to the root, then down: nothing in it depends on where the root is.
        let up = folders.iter().map(|_| "..");
        let relative: PathBuf = up.chain(target.iter().map(String::as_str)).collect();
        let parent = path.parent().unwrap_or(&self.root);
        let made = std::fs::create_dir_all(parent).and_then(|()| symlink(&relative, &path));
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome.map_err(|error| self.blame("link", index, error)),
        }
    }
}

#[cfg(unix)]
fn symlink(target: &std::path::Path, link: &std::path::Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Elsewhere links need a right that users rarely have; nobody misses what has no content.
#[cfg(not(unix))]
fn symlink(_: &std::path::Path, _: &std::path::Path) -> io::Result<()> {
    Ok(())
}
