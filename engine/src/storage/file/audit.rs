//! Noticing that a file is not the one that it was: moved, replaced, cut, or changed by another program. An open
//! file can still be read when its name is gone, so reading alone would never tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::sync::PoisonError;
use std::time::SystemTime;

use super::disk::Disk;
use crate::storage::Loss;

/// What was seen of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Which file it is, where the system numbers them.
    identity: (u64, u64),
    len: u64,
    modified: Option<SystemTime>,
}

/// What was seen of the files, by their number, when they were looked at last.
pub(super) type Sights = BTreeMap<usize, Seen>;

impl Seen {
    fn of(found: &Metadata) -> Self {
        Self { identity: identity(found), len: found.len(), modified: found.modified().ok() }
    }

    /// What happened to the file since, besides our own writing.
    fn became(self, now: Option<Self>, ours: bool) -> Option<&'static str> {
        match now {
            None => Some("is gone"),
            Some(now) if now.identity != self.identity => Some("was replaced by another file"),
            Some(now) if now.len < self.len => Some("is shorter than it was"),
            Some(now) if now != self && !ours => Some("was changed by another program"),
            Some(_) => None,
        }
    }
}

impl Disk {
    /// Looks at every file; says which are not what they were when this was asked last. Each loss is said once.
    pub(super) fn audit(&self) -> Vec<Loss> {
        let aside = self.aside.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stored = self.metainfo.files().iter().enumerate().filter(|(index, entry)| {
            entry.len > 0 && !entry.is_padding() && aside.get(*index) != Some(&true)
        });
        let written = self.take_touched();
        let mut losses = Vec::new();
        for (index, _) in stored {
            // A file that cannot be looked at is as good as none.
            let found = self.look_at(index).ok().flatten().as_ref().map(Seen::of);
            let before = self.saw(index, found);
            let ours = written.contains(&index) || self.is_touched(index);
            if let Some(what) = before.and_then(|before| before.became(found, ours)) {
                self.close(index);
                let (path, pieces) = (self.path(index), self.metainfo.pieces_of(index).collect());
                losses.push(Loss { path, what, pieces });
            }
        }
        losses
    }
}

/// Files that we wrote to since the last look.
pub(super) type Touched = BTreeSet<usize>;

#[cfg(unix)]
fn identity(found: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
