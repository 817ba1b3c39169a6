//! Torrents that foreign tools made (see `fixtures/README.md`): what we read in them is what the tools read.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proto::bencode::{BencodeError, Malformed};
use proto::id::PieceHash;
use proto::metainfo::{FileEntry, Metainfo, MetainfoError, UnsafePath};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("fixtures/{name}: {error}"))
}

fn text(name: &str) -> String {
    String::from_utf8(read(name)).expect("UTF-8")
}

/// A line of `foreign.tsv`, made from our own reading.
fn line(name: &str, metainfo: &Metainfo) -> String {
    let geometry = metainfo.geometry();
    let tiers: Vec<String> = metainfo.trackers().iter().map(|tier| tier.join(",")).collect();
    let mut fields = vec![
        name.to_owned(),
        metainfo.info_hash().to_string(),
        geometry.piece_len().to_string(),
        geometry.pieces().to_string(),
        if metainfo.private() { "private" } else { "public" }.to_owned(),
        tiers.join(" "),
    ];
    fields.extend(metainfo.files().iter().map(|file| format!("{} {}", file.len, file.path.join("/"))));
    fields.join("\t")
}

/// The content that the fixtures were made from: the path and a line feed, again and again; padding is zeros.
fn content(file: &FileEntry) -> Vec<u8> {
    let path = file.path.join("/") + "\n";
    let unit = if path.contains("/.pad/") { vec![0] } else { path.into_bytes() };
    unit.into_iter().cycle().take(usize::try_from(file.len).expect("small")).collect()
}

#[test]
fn we_read_what_libtorrent_reads() {
    let foreign = text("foreign.tsv");
    assert!(foreign.lines().count() >= 7);
    for want in foreign.lines() {
        let name = want.split('\t').next().expect("a name");
        let metainfo = Metainfo::parse(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(line(name, &metainfo), want);
    }
}

#[test]
fn every_piece_of_the_original_content_has_its_hash() {
    for row in text("foreign.tsv").lines() {
        let name = row.split('\t').next().expect("a name");
        let metainfo = Metainfo::parse(&read(name)).expect(name);
        let files: Vec<Vec<u8>> = metainfo.files().iter().map(content).collect();
        let geometry = metainfo.geometry();
        for piece in geometry.all_pieces() {
            let mut bytes = Vec::new();
            for span in metainfo.spans(geometry.start_of(piece), u64::from(geometry.len_of(piece))) {
                let offset = usize::try_from(span.offset).expect("small");
                let len = usize::try_from(span.len).expect("small");
                bytes.extend_from_slice(&files[span.file][offset..offset + len]);
            }
            assert_eq!(PieceHash::of(&bytes), metainfo.hash_of(piece), "{name}, piece {piece:?}");
        }
    }
}

#[test]
fn a_version_2_torrent_is_refused_by_its_version() {
    assert_eq!(Metainfo::parse(&read("libtorrent-v2.torrent")), Err(MetainfoError::Version(2)));
}

fn refusal(name: &str) -> MetainfoError {
    Metainfo::parse(&read(&format!("hostile/{name}.torrent"))).expect_err(name)
}

fn malformed(name: &str) -> Malformed {
    let error = refusal(name);
    let MetainfoError::Bencode(BencodeError::Scan(scan)) = error else { panic!("{name}: {error}") };
    scan.kind
}

#[test]
fn hostile_torrents_are_refused_for_the_right_reason() {
    let path = |path: &str, reason| MetainfoError::Path { path: path.into(), reason };
    assert_eq!(refusal("parent-path"), path("../../etc/passwd", UnsafePath::Parent));
    assert_eq!(refusal("hidden-parent-path"), path("a/../../b", UnsafePath::Parent));
    assert_eq!(refusal("absolute-path"), path("/etc/passwd", UnsafePath::Absolute));
    assert_eq!(refusal("windows-path"), path("C:\\Windows\\x", UnsafePath::Absolute));
    assert_eq!(refusal("too-few-hashes"), MetainfoError::PiecesCount { got: 1, want: 4 });
    assert!(matches!(refusal("negative-length"), MetainfoError::NegativeLength { len: -5, .. }));
    assert_eq!(malformed("truncated"), Malformed::Truncated);
    assert_eq!(malformed("deep"), Malformed::TooDeep(100));
    assert_eq!(malformed("login-page"), Malformed::UnexpectedByte(b'<'));
}

#[test]
fn every_refusal_is_one_sentence_that_a_user_understands() {
    let mut names: Vec<String> = torrents("hostile").into_iter().collect();
    names.push("libtorrent-v2.torrent".to_owned());
    let messages: Vec<String> = names
        .iter()
        .map(|name| format!("{name}: {}", Metainfo::parse(&read(name)).expect_err(name)))
        .collect();
    insta::assert_snapshot!(messages.join("\n"));
}

/// The torrents in a folder below `fixtures/`, by their names relative to it.
fn torrents(below: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder().join(below)).expect("a folder");
    let names = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"));
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    names.filter(|name| name.ends_with(".torrent")).map(|name| format!("{prefix}{name}")).collect()
}

#[test]
fn every_fixture_has_its_provenance() {
    let (readme, sums) = (text("README.md"), text("SHA256SUMS"));
    let all: BTreeSet<String> = torrents("").into_iter().chain(torrents("hostile")).collect();
    let listed: BTreeSet<String> =
        sums.lines().map(|line| line.split_whitespace().nth(1).unwrap_or_default().to_owned()).collect();
    assert_eq!(all, listed, "SHA256SUMS lists other files than there are");
    for sum in sums.lines() {
        let (digest, name) = sum.split_once("  ").expect("digest and name");
        let row = readme.lines().find(|line| line.contains(&format!("| `{name}`"))).expect(name);
        assert!(row.contains(digest), "{name}: README.md has another digest");
    }
}
