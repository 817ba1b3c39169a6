//! Web seeds (BEP 19): which ranges are asked of which URL, and what becomes of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::torrent::limits::{
    FETCH_CREDIT, FETCH_PATIENCE, MAX_FETCHES, MAX_WEB_BACKOFF, MAX_WRITING, MIN_FETCH, WEB_BACKOFF,
};

const PIECE_LEN: u64 = (BLOCKS * BLOCK_LEN) as u64;

/// Pieces of the first request to a server of unknown speed.
const FIRST: u32 = (MIN_FETCH / PIECE_LEN) as u32;

fn web_table(pieces: u32, have: &[u32], urls: &[&str]) -> Table {
    let plain = Table::new(pieces, have);
    let metainfo = (*plain.metainfo).clone().with_web_seeds(urls.iter().map(ToString::to_string));
    Table::of(metainfo, have, TorrentConfig::default())
}

/// Anything happens; here the listening addresses become known.
fn begin(table: &mut Table) -> Vec<Fetch> {
    fetches(&table.feed(Input::Ours(Vec::new())))
}

fn just_short_of(span: Duration) -> Duration {
    span.saturating_sub(MOMENT)
}

fn fetches(outputs: &[Output]) -> Vec<Fetch> {
    let fetch = |output: &Output| if let Output::Fetch(fetch) = output { Some(fetch.clone()) } else { None };
    outputs.iter().filter_map(fetch).collect()
}

fn failures(outputs: &[Output]) -> Vec<WebError> {
    let failure = |output: &Output| {
        let Output::Event(Event::WebSeedFailed { error, .. }) = output else { return None };
        Some(error.clone())
    };
    outputs.iter().filter_map(failure).collect()
}

impl Table {
    fn news(&mut self, fetch: &Fetch, news: WebNews) -> Vec<Output> {
        self.feed(Input::Web(fetch.key, news))
    }

    fn fail(&mut self, fetch: &Fetch, error: WebError) -> Vec<Output> {
        self.news(fetch, WebNews::Ended(Err(error)))
    }

    /// The server sends so many bytes of what it was asked for.
    fn send(&mut self, fetch: &Fetch, bytes: u64) -> Vec<Output> {
        self.news(fetch, WebNews::Data(Bytes::from(vec![0; bytes as usize])))
    }

    /// The same, but other bytes than there ought to be.
    fn lie(&mut self, fetch: &Fetch, bytes: u64) -> Vec<Output> {
        self.news(fetch, WebNews::Data(Bytes::from(vec![1; bytes as usize])))
    }

    /// The same, with all of it.
    fn serve(&mut self, fetch: &Fetch) -> Vec<Output> {
        let mut outputs = self.news(fetch, WebNews::Began { ranged: true });
        outputs.extend(self.send(fetch, fetch.range.end - fetch.range.start));
        outputs.extend(self.news(fetch, WebNews::Ended(Ok(()))));
        outputs
    }

    /// The disk takes all that it was given, and every piece is what it should be, or not.
    fn store(&mut self, outputs: &[Output], good: bool) -> Vec<Output> {
        let mut all = Vec::new();
        for output in outputs {
            if let Output::Write { block, .. } = output {
                all.extend(self.feed(Input::Written { block: *block, ok: true }));
            }
        }
        for output in all.clone() {
            if let Output::Hash { piece } = output {
                let hash = if good { self.metainfo.hash_of(piece) } else { PieceHash([0; 20]) };
                all.extend(self.feed(Input::Hashed { piece, hash: Some(hash) }));
            }
        }
        all
    }

    fn web(&self, number: usize) -> WebSeedStats {
        self.torrent.stats(self.now).web_seeds[number].clone()
    }
}

#[test]
fn the_widest_gap_is_asked_for_from_its_beginning() {
    let mut table = web_table(40, &[0, 5, 6], &["http://m.ex/d/"]);
    let asked = begin(&mut table);
    let [fetch] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(fetch.url.to_string(), "http://m.ex/d/content");
    assert_eq!(fetch.range, 7 * PIECE_LEN..u64::from(7 + FIRST) * PIECE_LEN);
    assert_eq!((fetch.len, fetch.credit), (40 * PIECE_LEN, FETCH_CREDIT));
    let outputs = table.serve(fetch);
    assert!(outputs.contains(&Output::FetchMore { key: fetch.key, bytes: MIN_FETCH as usize }));
    let next = fetches(&outputs);
    assert_eq!(next[0].range.start, fetch.range.end, "the gap goes on");
    let stored = table.store(&outputs, true);
    let verified = stored.iter().filter(|output| matches!(output, Output::Event(Event::PieceVerified(_))));
    assert_eq!(verified.count(), FIRST as usize);
    assert_eq!(table.torrent.progress().downloaded, MIN_FETCH);
    assert_eq!((table.web(0).state, table.web(0).downloaded), (WebSeedState::Fetching, MIN_FETCH));
}

#[test]
fn a_complete_torrent_and_one_that_wants_none_ask_nobody() {
    let mut table = web_table(3, &[0, 1, 2], &["http://m.ex/"]);
    assert_eq!(begin(&mut table), []);
    let metainfo = (*web_table(3, &[], &["http://m.ex/"]).metainfo).clone();
    let config = TorrentConfig { web_seeds: false, ..TorrentConfig::default() };
    assert_eq!(begin(&mut Table::of(metainfo, &[], config)), []);
}

#[test]
fn only_so_many_servers_send_at_once_and_each_something_else() {
    let urls = ["http://a/", "http://b/", "http://c/", "http://d/", "http://e/", "http://f/"];
    let mut table = web_table(200, &[], &urls);
    let asked = begin(&mut table);
    assert_eq!(asked.len(), MAX_FETCHES);
    let starts: std::collections::BTreeSet<_> = asked.iter().map(|fetch| fetch.range.start).collect();
    assert_eq!(starts.len(), MAX_FETCHES);
    let next = fetches(&table.serve(&asked[0]));
    assert_eq!(next.len(), 1, "one ends, one begins");
}

#[test]
fn what_came_before_a_server_broke_off_is_kept_and_the_rest_is_asked_again_later() {
    let mut table = web_table(2, &[], &["http://m.ex/"]);
    let fetch = begin(&mut table).remove(0);
    table.send(&fetch, PIECE_LEN + 5);
    let outputs = table.news(&fetch, WebNews::Ended(Ok(())));
    assert_eq!(failures(&outputs), [WebError::Truncated]);
    assert_eq!(table.torrent.stats(table.now).wasted, 5);
    assert_eq!(table.web(0).state, WebSeedState::Waiting);
    let again = fetches(&table.pass(WEB_BACKOFF));
    assert_eq!(again[0].range, PIECE_LEN..2 * PIECE_LEN);
    // It fails again, which is no news, and the wait is twice as long.
    assert_eq!(failures(&table.fail(&again[0], WebError::Truncated)), []);
    assert_eq!(fetches(&table.pass(just_short_of(2 * WEB_BACKOFF))), []);
    assert_eq!(fetches(&table.pass(MOMENT)).len(), 1);
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let mut table = web_table(2, &[], &["http://m.ex/"]);
    let mut fetch = begin(&mut table).remove(0);
    for (asks, waits) in
        [(None, WEB_BACKOFF), (Some(100), Duration::from_secs(100)), (Some(1 << 40), MAX_WEB_BACKOFF)]
    {
        let retry_after = asks.map(Duration::from_secs);
        table.fail(&fetch, WebError::Busy { status: 503, retry_after });
        assert_eq!(fetches(&table.pass(just_short_of(waits))), []);
        fetch = fetches(&table.pass(MOMENT)).remove(0);
    }
}

#[test]
fn a_silent_server_is_hung_up_on() {
    let mut table = web_table(2, &[], &["http://m.ex/"]);
    let fetch = begin(&mut table).remove(0);
    table.pass(just_short_of(FETCH_PATIENCE));
    table.news(&fetch, WebNews::Began { ranged: true });
    assert_eq!(failures(&table.pass(just_short_of(FETCH_PATIENCE))), [], "it said something");
    let outputs = table.pass(MOMENT);
    assert_eq!(failures(&outputs), [WebError::Silent]);
    assert!(outputs.contains(&Output::FetchStop { key: fetch.key }));
    assert_eq!(table.send(&fetch, 5), [], "what comes after that does not count");
}

#[test]
fn a_url_without_the_file_is_given_up_and_another_goes_on() {
    let mut table = web_table(2, &[], &["http://m.ex/", "http://n.ex/"]);
    let fetch = begin(&mut table).remove(0);
    let outputs = table.fail(&fetch, WebError::Status(404));
    assert_eq!(table.web(0).state, WebSeedState::GivenUp);
    assert_eq!(table.web(0).error, Some(WebError::Status(404)));
    assert_eq!(fetches(&outputs)[0].seed, 1);
    assert_eq!(fetches(&table.pass(10 * MAX_WEB_BACKOFF)).iter().find(|fetch| fetch.seed == 0), None);
}

/// Two files of a piece and a half each, and padding between them.
fn folder(urls: &[&str]) -> Metainfo {
    let half = PIECE_LEN / 2;
    let files = [("a", 3 * half), ("b", 2 * half)];
    let path = |path: &str| path.split('/').map(str::to_owned).collect();
    let content = Content::Multi(files.map(|(name, len)| (path(name), len)).to_vec());
    let draft = Draft::new("set", content, Some(BLOCKS * BLOCK_LEN)).unwrap().padded().unwrap();
    let bytes = draft.finish(&[PieceHash([1; 20]), PieceHash([2; 20]), PieceHash([3; 20])]).unwrap();
    Metainfo::parse(&bytes).unwrap().with_web_seeds(urls.iter().map(ToString::to_string))
}

#[test]
fn each_file_is_asked_for_by_its_own_url_and_padding_is_not() {
    let mut table = Table::of(folder(&["http://m.ex"]), &[], TorrentConfig::default());
    let first = begin(&mut table).remove(0);
    assert_eq!(
        (first.url.to_string().as_str(), first.range.clone()),
        ("http://m.ex/set/a", 0..3 * PIECE_LEN / 2)
    );
    let mut outputs = table.serve(&first);
    let second = fetches(&outputs).remove(0);
    assert_eq!((second.url.to_string().as_str(), second.range.clone()), ("http://m.ex/set/b", 0..PIECE_LEN));
    outputs.extend(table.serve(&second));
    let stored = table.store(&outputs, true);
    assert!(stored.contains(&Output::Event(Event::Completed)), "zeros stand in for the padding");
    assert_eq!(table.torrent.progress().downloaded, 5 * PIECE_LEN / 2);
}

#[test]
fn a_missing_file_costs_its_pieces_only() {
    let mut table = Table::of(folder(&["http://m.ex"]), &[], TorrentConfig::default());
    let first = begin(&mut table).remove(0);
    let outputs = table.fail(&first, WebError::Status(404));
    let second = fetches(&outputs).remove(0);
    assert_eq!((second.url.to_string().as_str(), second.range.clone()), ("http://m.ex/set/b", 0..PIECE_LEN));
    assert_eq!(table.web(0).state, WebSeedState::Fetching);
    let outputs = table.fail(&second, WebError::Length { got: 1, want: PIECE_LEN });
    assert_eq!((fetches(&outputs), table.web(0).state), (vec![], WebSeedState::GivenUp));
}

#[test]
fn who_ignores_ranges_is_asked_for_everything_at_once() {
    let mut table = web_table(FIRST * 4, &[], &["http://m.ex/"]);
    let fetch = begin(&mut table).remove(0);
    table.news(&fetch, WebNews::Began { ranged: false });
    table.send(&fetch, fetch.range.end);
    let next = fetches(&table.news(&fetch, WebNews::Ended(Ok(()))));
    assert_eq!(next[0].range, fetch.range.end..u64::from(FIRST * 4) * PIECE_LEN);
}

#[test]
fn wrong_content_has_the_urls_name_on_it() {
    let mut table = web_table(1, &[], &["http://bad.ex/", "http://good.ex/"]);
    let bad = begin(&mut table).remove(0);
    let mut outputs = table.lie(&bad, bad.range.end);
    outputs.extend(table.news(&bad, WebNews::Ended(Ok(()))));
    outputs = table.store(&outputs, false);
    let good = fetches(&outputs).remove(0);
    assert_eq!((good.seed, table.web(0).error), (1, None), "whoever had no part in it is asked");
    let outputs = table.serve(&good);
    assert_eq!(failures(&table.store(&outputs, true)), [WebError::WrongContent]);
    assert_eq!(table.web(0).state, WebSeedState::GivenUp);
    assert_eq!((table.web(1).error, table.torrent.have().is_full()), (None, true));
}

#[test]
fn a_full_storage_holds_a_server_back_and_lets_it_go_on() {
    let mut table = web_table(600, &[], &["http://m.ex/"]);
    let mut fetch = begin(&mut table).remove(0);
    let mut written = Vec::new();
    while written.len() < MAX_WRITING {
        table.now += Duration::from_secs(1);
        let outputs = table.serve(&fetch);
        written.extend(outputs.iter().filter(|output| matches!(output, Output::Write { .. })).cloned());
        let Some(next) = fetches(&outputs).pop() else { break };
        fetch = next;
    }
    assert!(written.len() >= MAX_WRITING, "{}", written.len());
    let outputs = table.store(&written, true);
    assert_eq!(fetches(&outputs).len(), 1, "it is asked again once there is room");
}

#[test]
fn credit_waits_for_a_storage_that_refuses() {
    let mut table = web_table(40, &[], &["http://m.ex/"]);
    let fetch = begin(&mut table).remove(0);
    let outputs = table.send(&fetch, u64::from(BLOCK_LEN));
    let Some(Output::Write { block, .. }) = outputs.last().cloned() else { panic!("{outputs:?}") };
    table.feed(Input::Written { block, ok: false });
    let outputs = table.send(&fetch, 100);
    assert_eq!(outputs, [], "no credit");
    assert_eq!(table.pass(MOMENT), []);
    let more = Output::FetchMore { key: fetch.key, bytes: 100 };
    assert!(table.feed(Input::Written { block, ok: true }).contains(&more));
}

#[test]
fn peers_and_servers_share_the_work_and_the_faster_one_ends_it() {
    let mut table = web_table(1, &[], &["http://slow.ex/"]);
    let fetch = begin(&mut table).remove(0);
    let (peer, asked) = table.server(&[0]);
    assert_eq!(asked, [], "all of it is on order");
    table.send(&fetch, 100);
    let outputs = table.pass(Duration::from_secs(20));
    let asked = requests(&outputs);
    assert!(!asked.is_empty(), "endgame");
    let outputs = table.answer_all(peer, asked);
    assert_eq!(
        outputs.iter().filter(|output| matches!(output, Output::Write { .. })).count(),
        BLOCKS as usize
    );
    let outputs = table.send(&fetch, 100);
    assert!(outputs.contains(&Output::FetchStop { key: fetch.key }), "nothing is needed of it any more");
    assert_eq!(table.torrent.stats(table.now).peers.len(), 1, "a web seed is no peer");
}

#[test]
fn what_is_not_wanted_any_more_is_taken_back() {
    use crate::metainfo::Priority;
    let mut table = web_table(40, &[], &["http://m.ex/"]);
    let fetch = begin(&mut table).remove(0);
    let skip = |piece| if piece < 3 { Priority::Skip } else { Priority::Normal };
    let outputs = table.feed(Input::Wanted((0..40).map(skip).collect()));
    assert!(outputs.contains(&Output::FetchStop { key: fetch.key }));
    assert_eq!(fetches(&outputs)[0].range.start, 3 * PIECE_LEN);
}

#[test]
fn a_stop_takes_everything_back() {
    let mut table = web_table(40, &[], &["http://m.ex/"]);
    let fetch = begin(&mut table).remove(0);
    assert!(table.feed(Input::Stop).contains(&Output::FetchStop { key: fetch.key }));
}

/// What a server does with what it was asked for.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Send(u16),
    Fail(u8),
    Lie,
    Wait(u8),
}

fn deed() -> impl Strategy<Value = (usize, Deed)> {
    let deed = prop_oneof![
        6 => any::<u16>().prop_map(Deed::Send),
        1 => any::<u8>().prop_map(Deed::Fail),
        1 => Just(Deed::Lie),
        1 => any::<u8>().prop_map(Deed::Wait),
    ];
    (0..3_usize, deed)
}

/// Requests under way at the servers, with how much of each has come.
#[derive(Default)]
struct Servers(BTreeMap<usize, (Fetch, u64)>);

impl Servers {
    fn heed(&mut self, outputs: &[Output]) {
        for output in outputs {
            if let Output::Fetch(fetch) = output {
                let before = self.0.insert(fetch.seed, (fetch.clone(), fetch.range.start));
                assert!(before.is_none(), "one at a time");
            } else if let Output::FetchStop { key } = output {
                self.0.retain(|_, (fetch, _)| fetch.key != *key);
            }
        }
        let mut ranges: Vec<_> = self.0.values().map(|(fetch, at)| (*at, fetch.range.end)).collect();
        ranges.sort_unstable();
        assert!(ranges.is_sorted_by(|a, b| a.1 <= b.0), "no byte is asked twice at a time: {ranges:?}");
    }
}

proptest! {
    #[test]
    fn whatever_servers_do_no_byte_is_asked_twice_at_a_time_and_it_ends_complete(
        pieces in 1..40_u32, deeds in proptest::collection::vec(deed(), 0..40)
    ) {
        let mut table = web_table(pieces, &[], &["http://a/", "http://b/", "http://c/"]);
        let mut servers = Servers::default();
        let mut outputs = table.feed(Input::Ours(Vec::new()));
        servers.heed(&outputs);
        let good = std::iter::repeat_n((0, Deed::Send(u16::MAX)), 2_000);
        for (server, deed) in deeds.into_iter().chain(good) {
            if table.torrent.have().is_full() {
                break;
            }
            outputs = match (deed, servers.0.remove(&server)) {
                (Deed::Wait(seconds), entry) => {
                    servers.0.extend(entry.map(|entry| (server, entry)));
                    table.pass(Duration::from_secs(seconds.into()))
                }
                (_, None) => table.pass(Duration::from_secs(60)),
                (Deed::Fail(0..128), Some((fetch, _))) => table.fail(&fetch, WebError::Unreachable("gone".to_owned())),
                (Deed::Fail(_), Some((fetch, _))) => table.news(&fetch, WebNews::Ended(Ok(()))),
                (Deed::Lie, Some((fetch, at))) => {
                    let bytes = fetch.range.end - at;
                    servers.0.insert(server, (fetch.clone(), fetch.range.end));
                    let outputs = if server == 0 { table.send(&fetch, bytes) } else { table.lie(&fetch, bytes) };
                    servers.heed(&outputs);
                    // The first server must live, for the end.
                    let stored = table.store(&outputs, server == 0);
                    [outputs.into_iter().filter(|o| matches!(o, Output::FetchStop { .. })).collect(), stored].concat()
                }
                (Deed::Send(bytes), Some((fetch, at))) => {
                    let bytes = u64::from(bytes).min(fetch.range.end - at);
                    servers.0.insert(server, (fetch.clone(), at + bytes));
                    let mut outputs = if bytes > 0 { table.send(&fetch, bytes) } else { Vec::new() };
                    if at + bytes == fetch.range.end {
                        servers.0.remove(&server);
                        outputs.extend(table.news(&fetch, WebNews::Ended(Ok(()))));
                    }
                    servers.heed(&outputs);
                    table.store(&outputs, true)
                }
            };
            servers.heed(&outputs);
        }
        prop_assert!(table.torrent.have().is_full());
        prop_assert_eq!(table.torrent.stats(table.now).duplicate, 0);
    }
}
