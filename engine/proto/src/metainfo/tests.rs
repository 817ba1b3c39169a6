//! Torrent files in both directions: every refusal by name, layout, and properties.

use proptest::prelude::*;

use super::create::{Content, CreateError, Draft, piece_len_for};
use super::*;
use crate::bencode::{BencodeError, Malformed, ScanError};
use crate::piece::GeometryError;

/// A torrent file around a raw info dictionary.
fn torrent(info: &str) -> Vec<u8> {
    format!("d8:announce21:udp://127.0.0.1:6969/4:info{info}e").into_bytes()
}

/// An info dictionary of a single file with one piece.
fn single(name: &str, len: i64) -> String {
    format!("d6:lengthi{len}e4:name{}:{name}12:piece lengthi16384e6:pieces20:{}e", name.len(), "h".repeat(20))
}

/// An info dictionary of one file in a folder.
fn multi(path: &str) -> String {
    let hash = "h".repeat(20);
    format!("d5:filesld6:lengthi5e4:pathl{path}eee4:name1:d12:piece lengthi16384e6:pieces20:{hash}e")
}

fn refusal(info: &str) -> MetainfoError {
    Metainfo::parse(&torrent(info)).expect_err("must be refused")
}

#[test]
fn a_single_file_is_read() {
    let info = single("file.bin", 5);
    let metainfo = Metainfo::parse(&torrent(&info)).expect("valid");
    assert_eq!(metainfo.info_hash(), InfoHash::of(info.as_bytes()));
    assert_eq!(metainfo.info().as_ref(), info.as_bytes());
    assert_eq!(
        metainfo.files(),
        [FileEntry { path: vec!["file.bin".into()], len: 5, offset: 0, kind: FileKind::Plain }]
    );
    assert_eq!(metainfo.trackers(), [["udp://127.0.0.1:6969/"]]);
    let geometry = metainfo.geometry();
    assert_eq!((geometry.len(), geometry.pieces(), metainfo.private()), (5, 1, false));
    assert_eq!(metainfo.hash_of(geometry.piece(0).expect("one piece")), PieceHash([b'h'; 20]));
}

#[test]
fn the_info_hash_is_over_the_original_bytes_even_if_unsorted() {
    let info = "d4:name1:f6:lengthi5e12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhe";
    assert_eq!(Metainfo::parse(&torrent(info)).expect("valid").info_hash(), InfoHash::of(info.as_bytes()));
}

#[test]
fn structure_that_makes_no_torrent_is_refused() {
    use MetainfoError as E;
    let truncated = torrent(&single("f", 5));
    let cut = Metainfo::parse(&truncated[..80]).expect_err("cut");
    let scan = ScanError { offset: 80, kind: Malformed::Truncated };
    assert_eq!(cut, E::Bencode(BencodeError::Scan(scan)));
    assert_eq!(Metainfo::parse(b"d8:announce1:xe"), Err(E::NoInfo));
    assert_eq!(Metainfo::parse(b"i5e"), Err(E::NoInfo));
    assert_eq!(refusal("i5e"), E::NoInfo);
    assert!(matches!(refusal("de"), E::Bencode(BencodeError::Shape(_))));
    assert_eq!(refusal("d12:meta versioni2e4:name1:fe"), E::Version(2));
    assert_eq!(refusal("d12:meta versioni3e4:name1:f6:pieces0:e"), E::Version(3));
    let neither = single("f", 5).replace("6:lengthi5e", "");
    assert_eq!(refusal(&neither), E::SingleOrMulti("neither"));
    let both = single("f", 5).replacen('d', "d5:filesle", 1);
    assert_eq!(refusal(&both), E::SingleOrMulti("both"));
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    use MetainfoError as E;
    assert_eq!(refusal(&single("f", -5)), E::NegativeLength { path: "f".into(), len: -5 });
    assert_eq!(refusal(&single("f", 0)), E::Geometry(GeometryError::Empty));
    assert_eq!(refusal(&single("f", 16_385)), E::PiecesCount { got: 1, want: 2 });
    let ragged = single("f", 5).replace("6:pieces20:h", "6:pieces19:");
    assert_eq!(refusal(&ragged), E::PiecesLength(19));
    let piece_len = |text: &str| refusal(&single("f", 5).replace("i16384e", text));
    assert_eq!(piece_len("i0e"), E::Geometry(GeometryError::PieceLength(0)));
    assert_eq!(piece_len("i-1e"), E::Geometry(GeometryError::PieceLength(0)));
    assert_eq!(piece_len("i8589934592e"), E::Geometry(GeometryError::PieceLength(1 << 33)));
    let max = i64::MAX;
    let long = multi("1:a").replace("eee4:name", &format!("eed6:lengthi{max}e4:pathl1:beee4:name"));
    assert_eq!(refusal(&long), E::ContentTooLong);
}

#[test]
fn a_hostile_path_is_named() {
    let refused = |path: &str, reason| MetainfoError::Path { path: path.into(), reason };
    assert_eq!(refusal(&single("..", 5)), refused("..", UnsafePath::Parent));
    assert_eq!(refusal(&multi("2:..6:passwd")), refused("../passwd", UnsafePath::Parent));
    assert_eq!(refusal(&multi("0:3:etc")), refused("/etc", UnsafePath::Empty));
    assert_eq!(refusal(&multi("4:/etc")), refused("/etc", UnsafePath::Absolute));
    assert_eq!(refusal(&multi("")), refused("", UnsafePath::Empty));
    assert_eq!(
        refusal(&multi("2:..6:passwd")).to_string(),
        "refusing the path \"../passwd\": `..` would leave the download folder"
    );
}

#[test]
fn utf8_names_win_over_legacy_ones() {
    let info = single("caf\u{e9}", 5).replace("12:piece", "10:name.utf-85:caf\u{e9}12:piece");
    let info = info.replacen("5:caf\u{e9}", "4:caf?", 1);
    assert_eq!(Metainfo::parse(&torrent(&info)).expect("valid").name(), "caf\u{e9}");
}

fn trackers(outer: &str) -> Vec<Vec<String>> {
    let bytes = format!("d{outer}4:info{}e", single("f", 5));
    Metainfo::parse(bytes.as_bytes()).expect("valid").trackers().to_vec()
}

#[test]
fn an_announce_list_replaces_announce() {
    assert_eq!(trackers("8:announce1:a13:announce-listll1:b1:cel1:dee"), [vec!["b", "c"], vec!["d"]]);
    assert_eq!(trackers("8:announce1:a13:announce-listle"), [["a"]]);
    assert_eq!(trackers("8:announce1:a13:announce-listllee"), [["a"]]);
    assert_eq!(trackers("8:announce1:a13:announce-listl1:b1:ce"), [["b"], ["c"]]);
    assert_eq!(trackers("8:announce3: a 13:announce-listi5e"), [["a"]]);
    assert_eq!(trackers(""), Vec::<Vec<String>>::new());
}

/// Two files with an empty one between: bytes 0..5 and 5..12.
fn three_files() -> Metainfo {
    let path = |name: &str| vec![name.to_owned()];
    let content = Content::Multi(vec![(path("a"), 5), (path("empty"), 0), (path("b"), 7)]);
    let draft = Draft::new("d", content, None).expect("valid");
    Metainfo::parse(&draft.finish(&[PieceHash([1; 20])]).expect("one piece")).expect("valid")
}

#[test]
fn spans_name_the_files_that_a_range_touches() {
    let metainfo = three_files();
    let spans = |offset, len| -> Vec<_> {
        metainfo.spans(offset, len).map(|span| (span.file, span.offset, span.len)).collect()
    };
    assert_eq!(spans(0, 12), [(0, 0, 5), (2, 0, 7)]);
    assert_eq!(spans(3, 4), [(0, 3, 2), (2, 0, 2)]);
    assert_eq!(spans(5, 1), [(2, 0, 1)]);
    assert_eq!(spans(11, u64::MAX), [(2, 6, 1)]);
    assert_eq!(spans(2, 0), []);
    assert_eq!(spans(12, 5), []);
}

#[test]
fn a_created_torrent_is_stable_and_reads_back() {
    let content = Content::Multi(vec![(vec!["sub".into(), "ü.txt".into()], 20_000)]);
    let mut draft = Draft::new("folder", content, Some(16_384)).expect("valid");
    draft.trackers = vec![vec!["udp://a:1".into(), "udp://b:2".into()], vec!["udp://c:3".into()]];
    draft.private = true;
    draft.notes = Notes { comment: Some("hi".into()), created_by: Some("x".into()), creation_date: Some(7) };
    let bytes = draft.finish(&[PieceHash(*b"aaaaaaaaaaaaaaaaaaaa"); 2]).expect("two pieces");
    insta::assert_snapshot!(String::from_utf8(bytes.clone()).expect("all hashes are ASCII here"));
    let metainfo = Metainfo::parse(&bytes).expect("valid");
    assert!(metainfo.private());
    assert_eq!((metainfo.trackers(), metainfo.notes()), (&draft.trackers[..], &draft.notes));
    assert_eq!(metainfo.files()[0].path, ["folder", "sub", "ü.txt"]);
}

#[test]
fn a_draft_refuses_what_would_not_arrive() {
    let new = |name: &str, len, piece_len| Draft::new(name, Content::Single(len), piece_len).map(|_| ());
    assert_eq!(new("f", 5, Some(10_000)), Err(CreateError::PieceLength(10_000)));
    assert_eq!(new("f", 5, Some(8192)), Err(CreateError::PieceLength(8192)));
    assert_eq!(new("f", 0, None), Err(CreateError::Geometry(GeometryError::Empty)));
    assert!(matches!(new("..", 5, None), Err(CreateError::Refused(MetainfoError::Path { .. }))));
    let renamed = CreateError::Renamed { path: "a\\b".into(), saved: "a_b".into() };
    assert_eq!(new("a\\b", 5, None), Err(renamed));
    let draft = Draft::new("f", Content::Single(5), None).expect("valid");
    assert_eq!(draft.finish(&[]), Err(CreateError::Hashes { got: 0, want: 1 }));
}

#[test]
fn automatic_piece_lengths_are_sensible() {
    let (kib, mib, gib) = (1_u64 << 10, 1_u64 << 20, 1_u64 << 30);
    let table =
        [(1, 16 * kib), (32 * mib, 16 * kib), (256 * mib, 128 * kib), (gib, 512 * kib), (4 * gib, 2 * mib)];
    for (len, piece_len) in table.into_iter().chain([(32 * gib, 16 * mib), (u64::MAX, 16 * mib)]) {
        assert_eq!(u64::from(piece_len_for(len)), piece_len, "{len}");
    }
}

proptest! {
    #[test]
    fn what_is_created_reads_back(
        lens in proptest::collection::vec(0_u64..40_000, 1..8), private: bool, seed: u8
    ) {
        prop_assume!(lens.iter().sum::<u64>() > 0);
        let files = lens.iter().enumerate().map(|(n, &len)| (vec![format!("d{}", n % 2), format!("f{n}")], len));
        let mut draft = Draft::new("name", Content::Multi(files.collect()), Some(16_384)).expect("valid");
        draft.private = private;
        let hashes: Vec<_> = draft.geometry().all_pieces().map(|p| PieceHash([seed ^ p.get() as u8; 20])).collect();
        let metainfo = Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("valid");
        prop_assert_eq!(metainfo.geometry(), draft.geometry());
        prop_assert_eq!(metainfo.private(), private);
        prop_assert_eq!(metainfo.files().iter().map(|file| file.len).collect::<Vec<_>>(), lens);
        prop_assert!(metainfo.geometry().all_pieces().all(|p| metainfo.hash_of(p) == hashes[p.as_usize()]));
    }

    #[test]
    fn spans_cover_a_range_exactly_once(offset in 0_u64..15, len in 0_u64..15) {
        let metainfo = three_files();
        let mut at = offset;
        for span in metainfo.spans(offset, len) {
            let file = &metainfo.files()[span.file];
            prop_assert_eq!(file.offset + span.offset, at);
            prop_assert!(span.len > 0 && span.offset + span.len <= file.len);
            at += span.len;
        }
        prop_assert_eq!(at, (offset + len).min(12).max(offset));
    }

    #[test]
    fn a_damaged_torrent_never_panics(at in 0_usize..150, byte: u8) {
        let mut bytes = torrent(&multi("1:a1:b"));
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Metainfo::parse(&bytes);
    }
}

/// An info dictionary of two files of five bytes, the second with these further keys before its length.
fn with_attributes(keys: &str) -> String {
    let files = format!("ld6:lengthi5e4:pathl1:aeed{keys}6:lengthi5e4:pathl1:beee");
    format!("d5:files{files}4:name1:d12:piece lengthi16384e6:pieces20:{}e", "h".repeat(20))
}

fn kind(keys: &str) -> (FileKind, u64) {
    let metainfo = Metainfo::parse(&torrent(&with_attributes(keys))).expect("valid");
    (metainfo.files()[1].kind.clone(), metainfo.files()[1].len)
}

#[test]
fn attributes_say_what_a_file_is() {
    assert_eq!(kind(""), (FileKind::Plain, 5));
    assert_eq!(kind("4:attr2:hz"), (FileKind::Plain, 5));
    assert_eq!(kind("4:attr2:xh"), (FileKind::Executable, 5));
    assert_eq!(kind("4:attr1:p"), (FileKind::Padding, 5));
    assert_eq!(kind("4:attri7e"), (FileKind::Plain, 5), "no text, no attributes");
    assert_eq!(kind("4:attr1:l"), (FileKind::Plain, 5), "a link to nowhere");
    let single = single("f", 5).replacen('d', "d4:attr1:x", 1);
    let metainfo = Metainfo::parse(&torrent(&single)).expect("valid");
    assert_eq!(metainfo.files()[0].kind, FileKind::Executable);
}

#[test]
fn a_link_stays_inside_or_the_torrent_is_refused() {
    let link = |target: &str| format!("4:attr1:l12:symlink pathl{target}e");
    let path = ["d", "x", "a"].map(str::to_owned).to_vec();
    let files = |keys: &str| format!("ld6:lengthi5e4:pathl1:aeed{keys}4:pathl1:beee");
    let info = |keys: &str| {
        let hash = "h".repeat(20);
        format!("d5:files{}4:name1:d12:piece lengthi16384e6:pieces20:{hash}e", files(keys))
    };
    let metainfo = Metainfo::parse(&torrent(&info(&link("1:x1:a")))).expect("valid");
    assert_eq!((&metainfo.files()[1].kind, metainfo.files()[1].len), (&FileKind::Link(path), 0));
    for hostile in ["2:..6:passwd", "1:/", "4:/etc6:passwd", "0:"] {
        assert!(matches!(refusal(&info(&link(hostile))), MetainfoError::Path { .. }), "{hostile}");
    }
    assert_eq!(refusal(&info("4:attr1:x")), MetainfoError::NoLength { path: "d/b".into() });
}

#[test]
fn a_padded_torrent_begins_each_file_with_a_piece() {
    let lens = [("a", 20_000), ("b", 0), ("c", 16_384), ("d", 5), ("e", 0)];
    let files = lens.map(|(name, len)| (vec![name.to_owned()], len)).to_vec();
    let draft =
        Draft::new("set", Content::Multi(files), Some(16_384)).expect("valid").padded().expect("valid");
    let gaps: Vec<u64> = (0..5).map(|index| draft.padding_after(index)).collect();
    assert_eq!((gaps, draft.geometry().len()), (vec![12_768, 0, 0, 0, 0], 49_157));
    let hashes = vec![PieceHash::default(); draft.geometry().pieces() as usize];
    let metainfo = Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own");
    for file in metainfo.files().iter().filter(|file| !file.is_padding() && file.len > 0) {
        assert_eq!(file.offset % 16_384, 0, "{file:?}");
    }
    let padding: Vec<_> = metainfo.files().iter().filter(|file| file.is_padding()).collect();
    assert_eq!((padding.len(), padding[0].path.join("/")), (1, "set/.pad/12768".to_owned()));
}
