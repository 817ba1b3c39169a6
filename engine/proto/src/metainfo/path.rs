//! Path safety: what a torrent calls its files, and what we call them on disk.
//!
//! Hostile names are refused; names that merely do not fit every disk are changed, so that no real-world
//! torrent is turned away. The rules are the same on every platform. In effect they are libtorrent's.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{FileEntry, UnsafePath};

/// The longest name of a file or folder, in bytes: what ext4, XFS, Btrfs and others take.
const MAX_NAME_LEN: usize = 255;

/// Bytes of a file's extension that are kept when its name is cut.
const MAX_EXTENSION_LEN: usize = 16;

/// Room for the dot and number that tell equal names apart, in bytes.
const MAX_NUMBER_LEN: usize = 11;

/// Components of a path at the most. Real ones have a dozen; the limit bounds our work.
pub(crate) const MAX_COMPONENTS: usize = 100;

/// The safe path for raw components.
pub(crate) fn safe_path<'a>(raw: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, UnsafePath> {
    let path: Vec<String> =
        raw.into_iter().take(MAX_COMPONENTS + 1).map(safe_name).collect::<Result<_, _>>()?;
    match path.len() {
        0 => Err(UnsafePath::Empty),
        1..=MAX_COMPONENTS => Ok(path),
        _ => Err(UnsafePath::TooDeep),
    }
}

/// Raw components as a message shows them.
pub(crate) fn display<'a>(raw: impl IntoIterator<Item = &'a [u8]>) -> String {
    let names: Vec<_> = raw.into_iter().take(MAX_COMPONENTS).map(String::from_utf8_lossy).collect();
    names.join("/").chars().take(1000).collect()
}

/// One component: refused if hostile, else changed where some disk could not hold it.
fn safe_name(raw: &[u8]) -> Result<String, UnsafePath> {
    let name = String::from_utf8_lossy(raw);
    refuse_hostile(&name)?;
    let mut safe: String = name.chars().map(|c| if is_awkward(c) { '_' } else { c }).collect();
    if has_drive(&safe) {
        safe.replace_range(1..2, "_");
    }
    Ok(shortened(safe))
}

/// Both separators count on every platform: a torrent must not be safe here and hostile there.
fn refuse_hostile(name: &str) -> Result<(), UnsafePath> {
    const SEPARATORS: [char; 2] = ['/', '\\'];
    let after_drive = if has_drive(name) { name.get(2..).unwrap_or_default() } else { name };
    match name {
        "" => Err(UnsafePath::Empty),
        "." => Err(UnsafePath::Current),
        _ if name.contains('\0') => Err(UnsafePath::Nul),
        _ if name.split(SEPARATORS).any(|part| part == "..") => Err(UnsafePath::Parent),
        _ if after_drive.starts_with(SEPARATORS) => Err(UnsafePath::Absolute),
        _ => Ok(()),
    }
}

/// `C:` names a drive, and joining it to a folder replaces the folder.
fn has_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Separators, control characters, and those that turn the direction of text to disguise an extension.
fn is_awkward(c: char) -> bool {
    matches!(c, '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || c.is_control()
}

/// Cuts a name to what disks hold, and keeps its extension.
fn shortened(name: String) -> String {
    if name.len() <= MAX_NAME_LEN {
        return name;
    }
    let (stem, extension) = split_extension(&name);
    format!("{}{extension}", cut(stem, MAX_NAME_LEN - extension.len()))
}

/// The first `max` bytes, or a little less so as not to split a character.
fn cut(name: &str, max: usize) -> &str {
    (0..=max).rev().find_map(|end| name.get(..end)).unwrap_or(name)
}

/// Stem and extension; the extension has its dot, or is empty.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION_LEN => name.split_at(dot),
        _ => (name, ""),
    }
}

/// Renames files so that no two share a path, and no file is called like a folder, even where case does not
/// count: the second `README` becomes `README.1`.
pub(crate) fn make_distinct(files: &mut [FileEntry]) {
    let mut taken: BTreeSet<u64> = BTreeSet::new();
    for file in &*files {
        if let Some((_, folders)) = file.path.split_last() {
            taken.extend((1..=folders.len()).map(|len| folded(folders.get(..len).unwrap_or_default())));
        }
    }
    // The next number to try for each path, as it is cut to make room for one, so that many names that become
    // equal do not take quadratic time.
    let mut next: BTreeMap<u64, u32> = BTreeMap::new();
    for file in files {
        let original = file.path.last().cloned().unwrap_or_default();
        if taken.insert(folded(&file.path)) {
            continue;
        }
        rename(file, &original, 0);
        let number = next.entry(folded(&file.path)).or_insert(0);
        loop {
            *number += 1;
            rename(file, &original, *number);
            if taken.insert(folded(&file.path)) {
                break;
            }
        }
    }
}

fn rename(file: &mut FileEntry, original: &str, number: u32) {
    if let Some(name) = file.path.last_mut() {
        *name = numbered(original, number);
    }
}

/// `name.ext` as `name.3.ext`.
fn numbered(name: &str, number: u32) -> String {
    let (stem, extension) = split_extension(name);
    format!("{}.{number}{extension}", cut(stem, MAX_NAME_LEN - extension.len() - MAX_NUMBER_LEN))
}

/// A path without regard to case, as a number: two that collide by chance merely cost a rename.
fn folded(path: &[String]) -> u64 {
    let mut hasher = SipHasher13::new();
    for name in path {
        hasher.write(name.to_lowercase().as_bytes());
        hasher.write_u8(b'/');
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metainfo::FileKind;

    fn files(paths: &[&str]) -> Vec<FileEntry> {
        let entry = |path: &&str| FileEntry {
            path: path.split('/').map(str::to_owned).collect(),
            len: 1,
            offset: 0,
            kind: FileKind::Plain,
        };
        paths.iter().map(entry).collect()
    }

    fn distinct(paths: &[&str]) -> Vec<String> {
        let mut files = files(paths);
        make_distinct(&mut files);
        files.iter().map(|file| file.path.join("/")).collect()
    }

    #[test]
    fn hostile_names_are_refused() {
        let refused = |name: &str| safe_name(name.as_bytes()).expect_err(name);
        assert_eq!(refused(""), UnsafePath::Empty);
        assert_eq!(refused("."), UnsafePath::Current);
        for name in ["..", "../x", "a/../b", "a/..", "..\\x", "a\\..\\b", "C:\\..\\x"] {
            assert_eq!(refused(name), UnsafePath::Parent, "{name}");
        }
        for name in ["/etc/passwd", "/", "\\\\server\\share", "C:\\x", "c:/x"] {
            assert_eq!(refused(name), UnsafePath::Absolute, "{name}");
        }
        assert_eq!(refused("a\0b"), UnsafePath::Nul);
        assert_eq!(safe_path([]), Err(UnsafePath::Empty));
        assert_eq!(safe_path([&b"a"[..]; 101]), Err(UnsafePath::TooDeep));
    }

    #[test]
    fn real_world_names_pass_unchanged() {
        for name in
            ["...", ".hidden", "a..b", "What? (2010) [x264]: \"the\" <cut>|*", "naïve—日本語.mkv", " x "]
        {
            assert_eq!(safe_name(name.as_bytes()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn awkward_names_are_changed() {
        let safe = |name: &[u8]| safe_name(name).expect("harmless");
        assert_eq!(safe(b"AC/DC - Live"), "AC_DC - Live");
        assert_eq!(safe(b"a\\b\n"), "a_b_");
        assert_eq!(safe(b"C:"), "C_");
        assert_eq!(safe("photo\u{202e}gpj.exe".as_bytes()), "photo_gpj.exe");
        assert_eq!(safe(b"caf\xe9"), "caf\u{fffd}");
        let long = safe(format!("{}.mkv", "日".repeat(100)).as_bytes());
        assert_eq!((long.len(), long.ends_with("日.mkv")), (253, true));
    }

    /// Quadratic, this would take minutes.
    #[test]
    fn many_long_names_that_are_cut_alike_take_no_time() {
        let stem = "x".repeat(MAX_NAME_LEN - 5);
        let names: Vec<String> = (0..40_000).map(|n| format!("{stem}{:05}", n / 2)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let made = distinct(&names);
        assert_eq!((made[0] == names[0], made[1].len()), (true, MAX_NAME_LEN - MAX_NUMBER_LEN + 2));
        assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn no_two_files_share_a_path_even_where_case_does_not_count() {
        assert_eq!(distinct(&["d/a.c", "d/A.c", "d/a.c", "d/b"]), ["d/a.c", "d/A.1.c", "d/a.2.c", "d/b"]);
        assert_eq!(distinct(&["a.1", "a", "A"]), ["a.1", "a", "A.2"]);
        assert_eq!(distinct(&["x", "x/y", "X/Y"]), ["x.1", "x/y", "X/Y.1"]);
    }

    proptest! {
        #[test]
        fn a_safe_name_is_one_plain_component(raw in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(name) = safe_name(&raw) {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_LEN && name != "." && name != "..");
                prop_assert!(!name.contains(['/', '\\', '\0']));
                let path = std::path::Path::new(&name);
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(path.is_relative());
            }
        }

        #[test]
        fn files_become_distinct_and_never_folders(
            paths in proptest::collection::vec("[aA][.]?[1b]?(/[aA][1]?){0,2}", 1..30)
        ) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let made = distinct(&paths);
            let folded: BTreeSet<String> = made.iter().map(|path| path.to_lowercase()).collect();
            prop_assert_eq!(folded.len(), made.len());
            for path in &folded {
                let below = format!("{path}/");
                prop_assert!(!folded.iter().any(|other| other.starts_with(&below)));
            }
        }
    }
}
