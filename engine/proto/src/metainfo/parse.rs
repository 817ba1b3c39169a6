//! From bytes to a [`Metainfo`]: BEP 3 with BEP 12's tiers and BEP 27's flag.

use bytes::Bytes;
use serde::Deserialize;
use serde_bencode::value::Value;
use serde_bytes::ByteBuf;

use super::{FileEntry, FileKind, Metainfo, MetainfoError, Notes, UnsafePath, path, web_seed};
use crate::bencode::{self, KeyOrder, Limits, Scanned};
use crate::id::{ID_LEN, InfoHash, PieceHash};
use crate::piece::{Geometry, MAX_PIECES};

/// The longest torrent file, in bytes: [`MAX_PIECES`] hashes (80 MiB) and a long list of files.
pub const MAX_TORRENT_LEN: usize = MAX_PIECES as usize * ID_LEN + (16 << 20);

/// Announce URLs at the most; what follows is ignored.
const MAX_TRACKERS: usize = 500;

/// The longest announce URL, in bytes; longer ones are ignored.
const MAX_URL_LEN: usize = 2048;

/// Depth and items are libtorrent's limits. Unsorted keys exist in the wild, and the info hash is over the
/// bytes as they are.
const LIMITS: Limits = Limits { len: MAX_TORRENT_LEN, depth: 100, items: 3_000_000, order: KeyOrder::Any };

impl Metainfo {
    /// Reads a torrent file.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let scanned = scan(bytes)?;
        let info = scanned.raw_value(b"info").ok_or(MetainfoError::NoInfo)?;
        let outer: Outer = scanned.decode()?;
        let mut metainfo = Self::from_info(Bytes::copy_from_slice(info), outer.trackers())?;
        metainfo.notes = outer.notes();
        metainfo.web_seeds = web_seed::usable(outer.url_list());
        Ok(metainfo)
    }

    /// Reads an info dictionary on its own, as peers send it (BEP 9). The caller checks its hash.
    pub fn from_info(info: Bytes, trackers: Vec<Vec<String>>) -> Result<Self, MetainfoError> {
        let scanned = scan(&info)?;
        if !scanned.is_dictionary() {
            return Err(MetainfoError::NoInfo);
        }
        // BEP 52 first: its torrents lack what BEP 3 asks for, and the message must say why.
        let version: VersionOnly = scanned.decode()?;
        match version.meta_version {
            None | Some(1) => {}
            Some(2) if scanned.raw_value(b"pieces").is_some() => {}
            Some(other) => return Err(MetainfoError::Version(other)),
        }
        let raw: RawInfo = scanned.decode()?;
        let (name, files) = raw.layout()?;
        let len = files.last().map_or(0, |file| file.offset + file.len);
        let geometry = Geometry::new(len, u64::try_from(raw.piece_len).unwrap_or(0))?;
        let hashes = raw.hashes(geometry)?;
        let info_hash = InfoHash::of(&info);
        let private = raw.private();
        Ok(Self {
            info_hash,
            name,
            geometry,
            hashes,
            files,
            trackers,
            web_seeds: Vec::new(),
            private,
            info,
            notes: Notes::default(),
        })
    }
}

impl Metainfo {
    /// Where each file lies below a web seed's root, ready for a URL: the names as the torrent has them, not as
    /// they were made safe for our disk.
    pub fn web_paths(&self) -> Vec<String> {
        let raw = scan(&self.info).and_then(|scanned| Ok(scanned.decode::<RawInfo>()?));
        raw.map(|raw| raw.paths().iter().map(|path| web_seed::escaped(path)).collect()).unwrap_or_default()
    }
}

fn scan(bytes: &[u8]) -> Result<Scanned<'_>, MetainfoError> {
    Ok(bencode::scan(bytes, LIMITS).map_err(bencode::BencodeError::from)?)
}

/// The outermost dictionary. Its values are read loosely: nothing but people and announces depend on them.
#[derive(Deserialize)]
struct Outer {
    announce: Option<Value>,
    #[serde(rename = "announce-list")]
    announce_list: Option<Value>,
    comment: Option<Value>,
    #[serde(rename = "created by")]
    created_by: Option<Value>,
    #[serde(rename = "creation date")]
    creation_date: Option<Value>,
    #[serde(rename = "url-list")]
    url_list: Option<Value>,
}

impl Outer {
    //= BEP 19: "This key will refer to a one or more URLs": a string, or a list of them.
    fn url_list(&self) -> impl Iterator<Item = String> + '_ {
        let lone = self.url_list.as_ref().filter(|value| !matches!(value, Value::List(_)));
        list(self.url_list.as_ref()).iter().chain(lone).filter_map(text)
    }

    //= BEP 12: if the client is compatible and `announce-list` is present, `announce` is ignored.
    // An empty list is not a list of trackers, and some tools write one.
    fn trackers(&self) -> Vec<Vec<String>> {
        let mut room = MAX_TRACKERS;
        let mut tiers: Vec<Vec<String>> = Vec::new();
        for tier in list(self.announce_list.as_ref()) {
            // A flat list of URLs is a mistake that exists; each is its own tier then.
            let urls = list(Some(tier)).iter().chain((!matches!(tier, Value::List(_))).then_some(tier));
            let urls: Vec<String> = urls.filter_map(url).take(room).collect();
            room -= urls.len();
            if !urls.is_empty() {
                tiers.push(urls);
            }
        }
        match self.announce.as_ref().and_then(url) {
            Some(lone) if tiers.is_empty() => vec![vec![lone]],
            _ => tiers,
        }
    }

    fn notes(&self) -> Notes {
        let creation_date = match self.creation_date {
            Some(Value::Int(seconds)) => Some(seconds),
            _ => None,
        };
        Notes {
            comment: self.comment.as_ref().and_then(text),
            created_by: self.created_by.as_ref().and_then(text),
            creation_date,
        }
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::List(values)) => values,
        _ => &[],
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(_) | Value::List(_) | Value::Dict(_) => None,
    }
}

fn url(value: &Value) -> Option<String> {
    let text = text(value)?;
    let url = text.trim();
    let plausible =
        (1..=MAX_URL_LEN).contains(&url.len()) && !url.contains(|c: char| c.is_control() || c == ' ');
    plausible.then(|| url.to_owned())
}

#[derive(Deserialize)]
struct VersionOnly {
    #[serde(rename = "meta version")]
    meta_version: Option<i64>,
}

/// The info dictionary as it stands in the file.
#[derive(Deserialize)]
struct RawInfo {
    name: ByteBuf,
    #[serde(rename = "name.utf-8")]
    name_utf8: Option<ByteBuf>,
    #[serde(rename = "piece length")]
    piece_len: i64,
    pieces: ByteBuf,
    length: Option<i64>,
    attr: Option<Value>,
    files: Option<Vec<RawFile>>,
    private: Option<Value>,
}

/// One entry of `files`.
#[derive(Deserialize)]
struct RawFile {
    length: Option<i64>,
    path: Vec<ByteBuf>,
    #[serde(rename = "path.utf-8")]
    path_utf8: Option<Vec<ByteBuf>>,
    attr: Option<Value>,
    #[serde(rename = "symlink path")]
    symlink: Option<Vec<ByteBuf>>,
}

impl RawFile {
    fn path(&self) -> &[ByteBuf] {
        self.path_utf8.as_deref().unwrap_or(&self.path)
    }

    //= BEP 47: `attr` is "a variable-length string", and unknown characters are to be ignored. So are `h`, which
    // means nothing where names begin with a dot, and `sha1`, which the pieces' hashes make superfluous.
    fn kind(&self, name: &str) -> Result<FileKind, MetainfoError> {
        let attr = self.attr.as_ref().and_then(text).unwrap_or_default();
        if attr.contains('l')
            && let Some(target) = &self.symlink
        {
            let components: Vec<&[u8]> = target.iter().map(|name| name.as_slice()).collect();
            let below = safe_path(&components)?;
            return Ok(FileKind::Link([name.to_owned()].into_iter().chain(below).collect()));
        }
        Ok(match () {
            () if attr.contains('p') => FileKind::Padding,
            () if attr.contains('x') => FileKind::Executable,
            () => FileKind::Plain,
        })
    }
}

impl RawInfo {
    fn name(&self) -> &[u8] {
        self.name_utf8.as_ref().unwrap_or(&self.name)
    }

    /// The raw components of each file's path, as [`Metainfo::files`] has them made safe.
    fn paths(&self) -> Vec<Vec<&[u8]>> {
        let Some(files) = &self.files else { return vec![vec![self.name()]] };
        let below = |file| RawFile::path(file).iter().map(|name| name.as_slice());
        files.iter().map(|file| std::iter::once(self.name()).chain(below(file)).collect()).collect()
    }

    /// The name and the files, in order and with their offsets.
    fn layout(&self) -> Result<(String, Vec<FileEntry>), MetainfoError> {
        let root = safe_path(&[self.name()])?;
        let name = root.concat();
        let mut files = Vec::new();
        match (self.length, &self.files) {
            (Some(len), None) => {
                let attr = self.attr.as_ref().and_then(text).unwrap_or_default();
                let kind = if attr.contains('x') { FileKind::Executable } else { FileKind::Plain };
                push_file(&mut files, root, len, kind)?;
            }
            (None, Some(raw)) => {
                for file in raw {
                    let components: Vec<&[u8]> = file.path().iter().map(|name| name.as_slice()).collect();
                    let below = safe_path(&components)?;
                    let kind = file.kind(&name)?;
                    let path: Vec<String> = [name.clone()].into_iter().chain(below).collect();
                    let len = match (&kind, file.length) {
                        // A link has no content, whatever length it claims.
                        (FileKind::Link(_), _) => 0,
                        (_, Some(len)) => len,
                        (_, None) => return Err(MetainfoError::NoLength { path: path.join("/") }),
                    };
                    push_file(&mut files, path, len, kind)?;
                }
            }
            (Some(_), Some(_)) => return Err(MetainfoError::SingleOrMulti("both")),
            (None, None) => return Err(MetainfoError::SingleOrMulti("neither")),
        }
        path::make_distinct(&mut files);
        Ok((name, files))
    }

    fn hashes(&self, geometry: Geometry) -> Result<Vec<PieceHash>, MetainfoError> {
        let (hashes, rest) = self.pieces.as_chunks::<ID_LEN>();
        if !rest.is_empty() {
            return Err(MetainfoError::PiecesLength(self.pieces.len()));
        }
        let (got, want) = (hashes.len() as u32, geometry.pieces());
        if got != want {
            return Err(MetainfoError::PiecesCount { got, want });
        }
        Ok(hashes.iter().copied().map(PieceHash).collect())
    }

    //= BEP 27: a torrent is private if its info dictionary says `private=1`.
    // Any other number but zero is taken for it too: the careful reading.
    fn private(&self) -> bool {
        matches!(self.private, Some(Value::Int(flag)) if flag != 0)
    }
}

fn safe_path(raw: &[&[u8]]) -> Result<Vec<String>, MetainfoError> {
    let refuse =
        |reason: UnsafePath| MetainfoError::Path { path: path::display(raw.iter().copied()), reason };
    path::safe_path(raw.iter().copied()).map_err(refuse)
}

/// Appends a file after those before it.
fn push_file(
    files: &mut Vec<FileEntry>,
    path: Vec<String>,
    len: i64,
    kind: FileKind,
) -> Result<(), MetainfoError> {
    let offset = files.last().map_or(0, |file| file.offset + file.len);
    let Ok(unsigned) = u64::try_from(len) else {
        return Err(MetainfoError::NegativeLength { path: path.join("/"), len });
    };
    if offset + unsigned > i64::MAX as u64 {
        return Err(MetainfoError::ContentTooLong);
    }
    files.push(FileEntry { path, len: unsigned, offset, kind });
    Ok(())
}
