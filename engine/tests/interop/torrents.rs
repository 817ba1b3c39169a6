//! Kinds of torrents, and downloads that change hands: padding files (BEP 47), hybrid and version 2 torrents (BEP 52),
//! some files of many, and a download that another client finishes.

use std::process::Command;

use proto::metainfo::FileKind;

use crate::client::{Client, Role};
use crate::content::Content;
use crate::lab::{Lab, Torrent};
use crate::process::Process;

/// A torrent of `version` that libtorrent made and seeds; ours must get the same bytes.
fn comes_from_libtorrent(version: &str) {
    if !Client::Libtorrent.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create_with(Client::Libtorrent, &content, &["--version", version]);
    let padding = torrent.metainfo.files().iter().filter(|file| file.kind == FileKind::Padding).count();
    assert!(padding > 0, "libtorrent has put padding into it");
    let _tracker = lab.track();
    let _seeder = lab.seed(Client::Libtorrent, &torrent, &content);
    let leecher = lab.leech(Client::Ours, &torrent);
    let folder = leecher.folder.clone();
    lab.complete(leecher, &torrent, &content);
    let below = folder.join(torrent.metainfo.name()).join(".pad");
    assert!(!below.exists(), "padding is not written to disk");
}

#[test]
fn a_hybrid_torrent_comes_from_libtorrent() {
    comes_from_libtorrent("hybrid");
}

#[test]
fn a_torrent_with_padding_files_comes_from_libtorrent() {
    comes_from_libtorrent("padded");
}

/// Padding of ours goes to those who know it and to those who take it for files.
fn our_padding_goes_to(leecher: Client) {
    if !leecher.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create_with(Client::Ours, &content, &["--pad"]);
    let other = lab.leech_alone(leecher, &torrent, &[]);
    let _seeder = lab.seed_alone(Client::Ours, &torrent, &content, &["--peer", &other.listen.to_string()]);
    lab.complete(other, &torrent, &content);
}

#[test]
fn a_torrent_with_padding_files_goes_to_libtorrent() {
    our_padding_goes_to(Client::Libtorrent);
}

#[test]
fn a_torrent_with_padding_files_goes_to_transmission() {
    our_padding_goes_to(Client::Transmission);
}

#[test]
fn a_torrent_with_padding_files_goes_to_aria2() {
    our_padding_goes_to(Client::Aria2);
}

#[test]
fn a_torrent_of_version_2_alone_is_refused_by_name() {
    if !Client::Libtorrent.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let path = lab.subfolder("torrents").join("v2.torrent");
    Client::Libtorrent.create(&lab, &content, &path, &["--version", "v2"]);
    let ours = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ourtorrent"));
        let mut process = Process::spawn(command.args(words), &lab.subfolder("logs"), words[0]);
        (process.wait().code(), process.output())
    };
    let (path, folder) = (path.display().to_string(), lab.empty_folder().display().to_string());
    for words in [&["show", &path][..], &["download", &path, "-o", &folder]] {
        let (status, text) = ours(words);
        assert_eq!(status, Some(3), "{text}");
        assert!(text.contains("this is a version 2 torrent; only version 1 and hybrid"), "{text}");
    }
}

/// Two files of six are wanted; `seeder` has all.
fn some_files_come_from(seeder: Client) {
    if !seeder.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create(seeder, &content);
    let seeder = lab.seed_alone(seeder, &torrent, &content, &[]);
    let more = ["--peer", &seeder.listen.to_string(), "--select", "*.flac"];
    let mut leecher = lab.leech_alone(Client::Ours, &torrent, &more);
    leecher.finish();
    for file in torrent.metainfo.files() {
        let path: std::path::PathBuf = file.path.iter().collect();
        let wanted = path.extension().is_some_and(|extension| extension == "flac");
        let same = content.has(&path, &leecher.folder);
        assert_eq!(same, wanted, "{}", path.display());
    }
}

#[test]
fn some_files_of_many_come_from_libtorrent() {
    some_files_come_from(Client::Libtorrent);
}

#[test]
fn some_files_of_many_come_from_transmission() {
    some_files_come_from(Client::Transmission);
}

#[test]
fn some_files_of_many_come_from_aria2() {
    some_files_come_from(Client::Aria2);
}

/// We begin a download and are killed, `finisher` completes it in the same folder, and we find everything there.
fn is_finished_by(finisher: Client) {
    if !finisher.is_there() {
        return;
    }
    let lab = Lab::new();
    let content = Content::folder(&lab.subfolder("original"));
    let torrent = lab.create(Client::Ours, &content);
    let folder = lab.empty_folder();
    begin(&lab, &torrent, &content, &folder);

    let given = lab.trackerless(&torrent);
    let other = lab.start(finisher, Role::Leech, &given, &folder, resuming(finisher)).listening();
    let dial = ["--peer", &other.listen.to_string()];
    let _seeder = lab.seed_alone(Client::Ours, &torrent, &content, &dial);
    lab.complete(other, &torrent, &content);

    let mut again = lab.start(Client::Ours, Role::Leech, &given, &folder, &["--peer", "127.0.0.1:9"]);
    again.finish();
    let summary =
        again.process.reports().into_iter().find(|report| report["event"] == "summary").expect("the end");
    assert_eq!(summary["downloaded"], 0, "all of it was found: {summary}");
}

/// Fetches some pieces into `folder`, slowly, and dies.
fn begin(lab: &Lab, torrent: &Torrent, content: &Content, folder: &std::path::Path) {
    let seeder = lab.seed_alone(Client::Ours, torrent, content, &[]);
    let more = ["--peer", &seeder.listen.to_string(), "--limit-down", "500K", "--save-every", "0.2"];
    let mut ours = lab.start(Client::Ours, Role::Leech, &lab.trackerless(torrent), folder, &more);
    let has_some = |report: &serde_json::Value| {
        report["event"] == "progress" && report["pieces"].as_u64().is_some_and(|pieces| pieces > 0)
    };
    ours.process.until("has some pieces", |process| process.reports().iter().any(has_some));
}

/// What makes a client look at what is there first.
fn resuming(client: Client) -> &'static [&'static str] {
    if client == Client::Aria2 { &["--check-integrity=true"] } else { &[] }
}

#[test]
fn a_download_of_ours_is_finished_by_libtorrent() {
    is_finished_by(Client::Libtorrent);
}

#[test]
fn a_download_of_ours_is_finished_by_transmission() {
    is_finished_by(Client::Transmission);
}

#[test]
fn a_download_of_ours_is_finished_by_aria2() {
    is_finished_by(Client::Aria2);
}
