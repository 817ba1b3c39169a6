//! `show`: what a torrent file says.

use indicatif::BinaryBytes;
use proto::metainfo::{FileKind, Magnet, Metainfo};
use serde_json::json;

use crate::args::ShowArgs;
use crate::failure::{Failure, Status};
use crate::screen::print;
use crate::selection::offered;
use crate::torrent_file;

/// Prints the torrent as text or JSON.
pub(crate) fn run(args: &ShowArgs) -> Result<Status, Failure> {
    let metainfo = torrent_file::read(&args.torrent)?;
    if args.magnet {
        print(Magnet::of(&metainfo));
    } else if args.json {
        print(format_args!("{:#}", as_json(&metainfo)));
    } else {
        print(as_text(&metainfo));
    }
    Ok(Status::Done)
}

fn as_json(metainfo: &Metainfo) -> serde_json::Value {
    let (geometry, notes) = (metainfo.geometry(), metainfo.notes());
    let files = offered(metainfo).map(|(number, file)| {
        let (path, len) = (file.path.join("/"), file.len);
        let link = if let FileKind::Link(target) = &file.kind { Some(target.join("/")) } else { None };
        let executable = file.kind == FileKind::Executable;
        json!({ "number": number, "path": path, "len": len, "executable": executable, "link": link })
    });
    json!({
        "name": metainfo.name(),
        "info_hash": metainfo.info_hash().to_string(),
        "len": geometry.len(),
        "piece_len": geometry.piece_len(),
        "pieces": geometry.pieces(),
        "private": metainfo.private(),
        "trackers": metainfo.trackers(),
        "web_seeds": metainfo.web_seeds(),
        "magnet": Magnet::of(metainfo).to_string(),
        "comment": notes.comment,
        "created_by": notes.created_by,
        "creation_date": notes.creation_date,
        "files": files.collect::<Vec<_>>(),
    })
}

fn as_text(metainfo: &Metainfo) -> String {
    let (geometry, notes) = (metainfo.geometry(), metainfo.notes());
    let mut lines = vec![
        format!("name        {}", printable(metainfo.name())),
        format!("info hash   {}", metainfo.info_hash()),
        format!("size        {} ({} bytes)", BinaryBytes(geometry.len()), geometry.len()),
        format!("pieces      {} of {}", geometry.pieces(), BinaryBytes(geometry.piece_len().into())),
    ];
    if metainfo.private() {
        lines.push("private     yes: peers come from the trackers only".to_owned());
    }
    for (number, tier) in metainfo.trackers().iter().enumerate() {
        lines.push(format!("tier {:<7}{}", number + 1, printable(&tier.join(" "))));
    }
    lines.extend(metainfo.web_seeds().iter().map(|url| format!("web seed    {}", printable(url))));
    let notes = [("comment", &notes.comment), ("created by", &notes.created_by)];
    for (label, text) in notes.into_iter().filter_map(|(label, text)| Some((label, text.as_ref()?))) {
        lines.push(format!("{label:<12}{}", printable(text)));
    }
    lines.push(format!("files       {}", offered(metainfo).count()));
    for (number, file) in offered(metainfo) {
        let (len, path) = (BinaryBytes(file.len).to_string(), printable(&file.path.join("/")));
        let target = match &file.kind {
            FileKind::Link(target) => format!(" -> {}", printable(&target.join("/"))),
            FileKind::Plain | FileKind::Executable | FileKind::Padding => String::new(),
        };
        lines.push(format!("{number:>5} {len:>12}  {path}{target}"));
    }
    lines.join("\n")
}

/// A torrent's texts are a stranger's: control characters must not reach the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
