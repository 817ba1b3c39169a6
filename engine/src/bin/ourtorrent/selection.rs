//! `--select` and `--priority`: which files a user means, by number or by pattern.

use std::collections::BTreeMap;
use std::str::FromStr;

use proto::metainfo::{FileEntry, Magnet, Metainfo, Priority};
use wildmatch::WildMatch;

use crate::args::FileArgs;
use crate::failure::{Failure, Status};
use crate::show::printable;

/// Some files of a torrent, as a user names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// From one number to another, as `show` counts them.
    Numbers(u32, u32),
    /// Whose path, name or folder has this shape.
    Shape(String),
}

impl FromStr for Files {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self::Numbers(first, last)),
            (Some(_), Some(_)) => Err("the first number must not be larger than the last".to_owned()),
            _ if text.is_empty() => Err("a file needs a number or a name".to_owned()),
            _ => Ok(Self::Shape(text.to_owned())),
        }
    }
}

/// How urgent some files are: `high=*.srt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Urgency {
    level: Priority,
    files: Files,
}

impl FromStr for Urgency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (level, files) = text.split_once('=').ok_or("write LEVEL=FILES, such as high=*.srt")?;
        let level = match level {
            "skip" => Priority::Skip,
            "low" => Priority::Low,
            "normal" => Priority::Normal,
            "high" => Priority::High,
            _ => return Err(format!("{level:?} is no level; there are skip, low, normal and high")),
        };
        Ok(Self { level, files: files.parse()? })
    }
}

impl Files {
    fn name(&self) -> String {
        match self {
            Self::Numbers(first, last) if first == last => format!("has the number {first}"),
            Self::Numbers(first, last) => format!("has a number from {first} to {last}"),
            Self::Shape(shape) => format!("is called `{}`", printable(shape)),
        }
    }

    fn hold(&self, index: usize, entry: &FileEntry) -> bool {
        match self {
            Self::Numbers(first, last) => (*first as usize..=*last as usize).contains(&index),
            Self::Shape(shape) => {
                let shape = WildMatch::new(shape);
                let below = entry.path.get(1..).unwrap_or_default();
                // The whole path, with the torrent's folder or without, a folder on it, or the file's name.
                let whole = [entry.path.join("/"), entry.path.last().cloned().unwrap_or_default()];
                let folders = (1..=below.len()).map(|depth| below.get(..depth).unwrap_or_default().join("/"));
                whole.into_iter().chain(folders).any(|name| shape.matches(&name))
            }
        }
    }
}

/// A priority for each file; none at all if everything is wanted alike.
pub(crate) fn priorities(args: &FileArgs, metainfo: &Metainfo) -> Result<Vec<Priority>, Failure> {
    let mut chosen = BTreeMap::new();
    for files in &args.select {
        set(&mut chosen, metainfo, files, Priority::Normal)?;
    }
    for Urgency { level, files } in &args.priority {
        set(&mut chosen, metainfo, files, *level)?;
    }
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let others = if args.select.is_empty() { Priority::Normal } else { Priority::Skip };
    let level = |index| chosen.get(&index).copied().unwrap_or(others);
    let levels: Vec<_> = (0..metainfo.files().len()).map(level).collect();
    if offered(metainfo).all(|(index, _)| levels.get(index) == Some(&Priority::Skip)) {
        return Err(Failure::new(Status::Usage, "every file is skipped: nothing is left to download"));
    }
    Ok(levels)
}

//= BEP 53: `so` lists the "file indices" that are to be downloaded.
/// The same as a magnet link asks for it; numbers of files that do not exist mean nothing.
pub(crate) fn of_magnet(magnet: &Magnet, metainfo: &Metainfo) -> Vec<Priority> {
    let selected = |index: usize| magnet.select_only.iter().any(|files| files.contains(&(index as u32)));
    if !offered(metainfo).any(|(index, _)| selected(index)) {
        return Vec::new();
    }
    let level = |index| if selected(index) { Priority::Normal } else { Priority::Skip };
    (0..metainfo.files().len()).map(level).collect()
}

/// The files that a user may choose from, with their numbers: padding is nobody's business (BEP 47).
pub(crate) fn offered(metainfo: &Metainfo) -> impl Iterator<Item = (usize, &FileEntry)> {
    metainfo.files().iter().enumerate().filter(|(_, entry)| !entry.is_padding())
}

fn set(
    chosen: &mut BTreeMap<usize, Priority>,
    metainfo: &Metainfo,
    files: &Files,
    level: Priority,
) -> Result<(), Failure> {
    let meant = offered(metainfo).filter(|(index, entry)| files.hold(*index, entry));
    let meant: Vec<_> = meant.map(|(index, _)| (index, level)).collect();
    if meant.is_empty() {
        let what = format_args!("no file of {} {}", printable(metainfo.name()), files.name());
        return Err(Failure::new(Status::Usage, what).advise(
            "`ourtorrent show` lists the files with their numbers; * and ? stand for any characters.",
        ));
    }
    chosen.extend(meant);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proto::id::PieceHash;
    use proto::metainfo::Priority::{High, Low, Normal, Skip};
    use proto::metainfo::create::{Content, Draft};

    use super::*;

    fn torrent() -> Metainfo {
        let files = ["a.mkv", "subs/a.srt", "subs/b.srt", "read me.txt"];
        let files = files.map(|path| (path.split('/').map(str::to_owned).collect(), 10)).to_vec();
        let draft = Draft::new("Set", Content::Multi(files), None).expect("valid");
        Metainfo::parse(&draft.finish(&[PieceHash::default()]).expect("complete")).expect("our own")
    }

    fn levels(select: &[&str], priority: &[&str]) -> Result<Vec<Priority>, String> {
        let select = select.iter().map(|files| files.parse().expect("valid")).collect();
        let priority = priority.iter().map(|urgency| urgency.parse().expect("valid")).collect();
        let args = FileArgs { select, priority, ..FileArgs::default() };
        priorities(&args, &torrent()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn files_are_chosen_by_number_name_folder_and_shape() {
        assert_eq!(levels(&[], &[]), Ok(vec![]));
        assert_eq!(levels(&["1-2"], &[]), Ok(vec![Skip, Normal, Normal, Skip]));
        assert_eq!(levels(&["*.srt"], &[]), Ok(vec![Skip, Normal, Normal, Skip]));
        assert_eq!(levels(&["subs"], &["high=b.srt"]), Ok(vec![Skip, Normal, High, Skip]));
        assert_eq!(levels(&[], &["low=Set/subs/*", "skip=3"]), Ok(vec![Normal, Low, Low, Skip]));
        assert_eq!(levels(&["a.mkv", "read*"], &[]), Ok(vec![Normal, Skip, Skip, Normal]));
    }

    #[test]
    fn what_means_no_file_is_an_error_that_says_where_to_look() {
        for (files, says) in [("*.avi", "is called `*.avi`"), ("4", "the number 4"), ("7-9", "from 7 to 9")] {
            let error = levels(&[files], &[]).expect_err("no such file");
            assert!(error.contains(says) && error.contains("ourtorrent show"), "{error}");
        }
        assert!(levels(&[], &["skip=*"]).expect_err("nothing left").contains("nothing is left"));
        for wrong in ["high", "urgent=1", "high=", "low=3-1"] {
            assert!(wrong.parse::<Urgency>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_magnet_link_may_select() {
        let hash = torrent().info_hash();
        let magnet = |so: &str| format!("magnet:?xt=urn:btih:{hash}&so={so}").parse().expect("valid");
        assert_eq!(of_magnet(&magnet("0,2-3"), &torrent()), [Normal, Skip, Normal, Normal]);
        assert_eq!(of_magnet(&magnet("9"), &torrent()), []);
    }
}
