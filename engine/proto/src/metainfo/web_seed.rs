//! Web seeds (BEP 19): where a torrent's content lies on HTTP servers, and the URL of each of its files there.

use super::Metainfo;
use crate::tracker::http::put_percent_encoded;
use crate::tracker::{Scheme, TrackerUrl};

/// Web seeds of one torrent that are used; a torrent file is hostile and may list thousands.
pub const MAX_WEB_SEEDS: usize = 32;

impl Metainfo {
    /// URLs at which HTTP servers have the content (BEP 19), as they are written.
    pub fn web_seeds(&self) -> &[String] {
        &self.web_seeds
    }

    /// The same torrent with these web seeds, such as a magnet link's `ws`.
    #[must_use]
    pub fn with_web_seeds(self, urls: impl IntoIterator<Item = String>) -> Self {
        Self { web_seeds: usable(urls), ..self }
    }

    /// One file, which lies at a web seed's URL itself.
    pub fn is_single(&self) -> bool {
        self.files.len() == 1 && self.files.iter().all(|file| file.path.len() == 1)
    }
}

/// Each URL once, without those that are of no use.
//= BEP 19: "A client should ignore any protocols it does not know from the url-list."
pub(super) fn usable(urls: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut usable = Vec::new();
    for url in urls {
        let url = url.trim();
        if usable.len() < MAX_WEB_SEEDS && root(url).is_some() && usable.iter().all(|known| known != url) {
            usable.push(url.to_owned());
        }
    }
    usable
}

/// A web seed's URL in parts, if it is one that we can ask.
pub fn root(url: &str) -> Option<TrackerUrl> {
    let url: TrackerUrl = url.parse().ok()?;
    (url.scheme() != Scheme::Udp).then_some(url)
}

/// The URL of a file, whose `path` is of [`Metainfo::web_paths`].
//= BEP 19: "If the "url-list" URL ends in a slash, "/" the client must add the "name" from the torrent".
//= "For the case of Multi-File torrents, the "url-list" must be a root folder". Some are written without the slash.
pub fn file_url(root: &TrackerUrl, path: &str, is_single: bool) -> TrackerUrl {
    let base = root.path();
    match base.strip_suffix('/') {
        Some(folder) => root.with_path(format!("{folder}/{path}")),
        None if is_single => root.clone(),
        None => root.with_path(format!("{base}/{path}")),
    }
}

/// Raw names as the path of a URL: whatever has a meaning there is escaped, a slash inside a name too.
pub(super) fn escaped(path: &[&[u8]]) -> String {
    let mut url = String::new();
    for name in path {
        if !url.is_empty() {
            url.push('/');
        }
        put_percent_encoded(&mut url, name);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(url_list: &str, info: &str) -> Metainfo {
        Metainfo::parse(format!("d4:info{info}8:url-list{url_list}e").as_bytes()).expect("valid")
    }

    const SINGLE: &str = "d6:lengthi5e4:name8:a b?.iso12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhe";

    fn urls(metainfo: &Metainfo) -> Vec<String> {
        let (paths, is_single) = (metainfo.web_paths(), metainfo.is_single());
        let roots = metainfo.web_seeds().iter().filter_map(|url| root(url));
        roots
            .flat_map(|root| {
                paths.iter().map(move |path| file_url(&root, path, is_single).to_string()).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn a_lone_file_lies_at_the_url_or_in_the_folder() {
        let folder = torrent("14:http://m.ex/d/", SINGLE);
        assert_eq!(urls(&folder), ["http://m.ex/d/a%20b%3F.iso"]);
        let file = torrent("l17:http://m.ex/d?x=14:junk15:ftp://m.ex/file17:http://m.ex/d?x=1e", SINGLE);
        assert_eq!(urls(&file), ["http://m.ex/d?x=1"], "once, and without what we do not speak");
        assert_eq!(torrent("0:", SINGLE).web_seeds(), [""; 0]);
    }

    //= BEP 19: "A client would use all that to build a url: http://mirror.com/pub/michael/Readme.txt".
    #[test]
    fn files_lie_below_the_name_as_the_torrent_has_it() {
        let files = "ld6:lengthi949e4:pathl10:Readme.txteed6:lengthi1e4:pathl3:a/b2:\u{e4}eee";
        let info =
            format!("d5:files{files}4:name7:michael12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhe");
        for root in ["22:http://mirror.com/pub/", "21:http://mirror.com/pub"] {
            let metainfo = torrent(root, &info);
            assert_eq!(metainfo.files()[1].path, ["michael", "a_b", "\u{e4}"], "made safe for our disk");
            let expected = ["michael/Readme.txt", "michael/a%2Fb/%C3%A4"];
            assert_eq!(urls(&metainfo), expected.map(|path| format!("http://mirror.com/pub/{path}")));
        }
    }

    #[test]
    fn a_draft_says_where_its_content_lies() {
        use crate::metainfo::create::{Content, Draft};
        let mut draft = Draft::new("f", Content::Single(5), None).expect("valid");
        draft.web_seeds = vec!["http://a/".to_owned(), "https://b/f".to_owned()];
        let bytes = draft.finish(&[crate::id::PieceHash::default()]).expect("valid");
        assert_eq!(Metainfo::parse(&bytes).expect("valid").web_seeds(), draft.web_seeds);
    }

    #[test]
    fn thousands_are_cut_short() {
        let many = (0..1000).map(|n| format!("http://h{n}/"));
        let metainfo = torrent("0:", SINGLE).with_web_seeds(many);
        assert_eq!(metainfo.web_seeds().len(), MAX_WEB_SEEDS);
    }
}
