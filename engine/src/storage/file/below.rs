//! Opening files below a folder without ever following a symbolic link out of it: each folder on the way is
//! opened by itself, relative to the one above, so that nobody can swap one for a link in between.

use std::fs::File;
use std::io;
use std::path::Path;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading a file that is there.
    Read,
    /// Reading and writing a file that is there.
    Write,
    /// The same, and the file and its folders are made if they are missing.
    Create {
        /// A new file may be run (BEP 47).
        executable: bool,
    },
}

/// Opens the file at `path` below `root`; a link in place of it or of a folder in between is an error.
#[cfg(unix)]
pub(super) fn open(root: &Path, path: &[String], purpose: Purpose) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    use rustix::io::Errno;

    let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let creates = matches!(purpose, Purpose::Create { .. });
    let (name, folders) = path.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    if creates {
        std::fs::create_dir_all(root)?;
    }
    // The root is the user's own choice, wherever it leads.
    let mut folder = openat(CWD, root, folder_flags, Mode::empty())?;
    for name in folders {
        let enter = || openat(&folder, name.as_str(), folder_flags | OFlags::NOFOLLOW, Mode::empty());
        let entered = match enter() {
            Err(Errno::NOENT) if creates => {
                match mkdirat(&folder, name.as_str(), Mode::from_raw_mode(0o777)) {
                    // Another job was faster.
                    Ok(()) | Err(Errno::EXIST) => enter(),
                    Err(error) => Err(error),
                }
            }
            outcome => outcome,
        };
        folder = entered?;
    }
    let (flags, mode) = match purpose {
        Purpose::Read => (OFlags::RDONLY, 0),
        Purpose::Write => (OFlags::RDWR, 0),
        Purpose::Create { executable } => {
            (OFlags::RDWR | OFlags::CREATE, if executable { 0o777 } else { 0o666 })
        }
    };
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(&folder, name.as_str(), flags, Mode::from_raw_mode(mode))?.into())
}

/// The same where folders cannot be opened like that: the caller has looked for links.
#[cfg(not(unix))]
pub(super) fn open(root: &Path, path: &[String], purpose: Purpose) -> io::Result<File> {
    let full = path.iter().fold(root.to_owned(), |full, name| full.join(name));
    let creates = matches!(purpose, Purpose::Create { .. });
    if let (true, Some(folder)) = (creates, full.parent()) {
        std::fs::create_dir_all(folder)?;
    }
    let writes = purpose != Purpose::Read;
    std::fs::OpenOptions::new().read(true).write(writes).create(creates).truncate(false).open(full)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn no_link_on_the_way_is_followed() {
        let (root, outside) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
        fs::write(outside.path().join("file"), b"secret").expect("written");
        symlink(outside.path(), root.path().join("folder")).expect("linked");
        symlink(outside.path().join("file"), root.path().join("file")).expect("linked");
        let paths = [vec!["folder".to_owned(), "file".to_owned()], vec!["file".to_owned()]];
        for path in paths {
            for purpose in [Purpose::Read, Purpose::Write, Purpose::Create { executable: false }] {
                assert!(open(root.path(), &path, purpose).is_err(), "{path:?} {purpose:?}");
            }
        }
        assert_eq!(fs::read(outside.path().join("file")).expect("still there"), b"secret");
    }

    #[test]
    fn a_program_can_be_run() {
        let root = TempDir::new().expect("a folder");
        let mode = |name: &str, executable| {
            let file = open(root.path(), &["d".to_owned(), name.to_owned()], Purpose::Create { executable });
            file.expect("made").metadata().expect("there").permissions().mode() & 0o100
        };
        assert_eq!((mode("run", true), mode("read", false)), (0o100, 0));
    }
}
