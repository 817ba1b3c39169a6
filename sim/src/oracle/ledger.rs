//! The ledger of blocks: where each block that a peer got came from, and what each peer sent, got and owed.
//!
//! It is kept from what crosses the peers' own sockets, beside the engines' counters and before anybody is asked for
//! them. A block that somebody hears and nobody said to it came from nowhere; what a peer tells the tracker of its
//! uploads and downloads must be what stands here. [`super::conservation`] and the protocol's rules judge by it.
//!
//! An engine counts a block as sent when it hands it to a connection, where it may wait and die. It was asked for, then,
//! and the request had neither that block nor a reject for an answer: between what was said and that with what was owed
//! besides is what an engine may count. Where every request was answered, nothing is between them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use proto::time::Instant;
use proto::wire::{Message, RawBlock};

use crate::wiretap::{Event, Line, Listen, Way, What};

/// Blocks from nowhere that are told: the first ones say it all.
const MAX_TOLD: usize = 4;

/// A statement has an entry for each span of this length in which something happened, so that ten thousand peers fit.
const GRAIN: Duration = Duration::from_secs(2);

/// What one peer has sent, got and owed, in bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// In blocks that it has sent whole.
    pub said: u64,
    /// In blocks that it has got whole.
    pub heard: u64,
    /// In requests that it has got and not answered; those stay that were open when their connections ended.
    pub owed: u64,
}

impl Account {
    /// The most that its engine may count as sent. What it counted before is never more than this at any later time.
    pub const fn sent_at_most(self) -> u64 {
        self.said + self.owed
    }
}

/// An account over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement(Vec<(Duration, Account)>);

impl Statement {
    /// No more than what stood there at `time`, and older by no more than a few seconds.
    pub fn least(&self, time: Duration) -> Account {
        self.last(|from| from + GRAIN <= time)
    }

    /// No less than what stood there at `time`, and newer by no more than a few seconds.
    pub fn most(&self, time: Duration) -> Account {
        self.last(|from| from <= time)
    }

    /// What stands there in the end.
    pub fn total(&self) -> Account {
        self.last(|_| true)
    }

    fn last(&self, is_earlier: impl Fn(Duration) -> bool) -> Account {
        let earlier = self.0.partition_point(|(from, _)| is_earlier(*from));
        earlier.checked_sub(1).and_then(|last| self.0.get(last)).map_or_else(Account::default, |last| last.1)
    }

    pub(crate) fn book(&mut self, at: Duration, change: impl FnOnce(&mut Account)) {
        let mut account = self.total();
        change(&mut account);
        match self.0.last_mut() {
            Some((from, last)) if at < *from + GRAIN => *last = account,
            _ => self.0.push((at, account)),
        }
    }
}

/// Whose account it is.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// The addresses by which others may know it: its own, and those of the NAT box before it.
    pub addrs: Vec<IpAddr>,
}

/// One who has an account.
#[derive(Debug)]
struct Member {
    name: String,
    /// The place that it shares with all who are behind the same box.
    place: usize,
    statement: Statement,
}

/// All accounts, and the blocks that are on their way.
#[derive(Debug, Default)]
pub struct Ledger {
    places: BTreeMap<IpAddr, usize>,
    /// By their place in the world.
    members: BTreeMap<usize, Member>,
    /// Blocks that were said and not heard yet: from where, to where, which, and how many times.
    under_way: BTreeMap<(usize, usize, RawBlock), u32>,
    /// Requests without an answer, for each end of a stream that got some.
    open: BTreeMap<u64, Vec<RawBlock>>,
    strays: Vec<String>,
    blocks: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Blocks that somebody got.
    pub blocks: u64,
    /// The first ones that nobody had sent, for people.
    pub strays: Vec<String>,
}

impl Ledger {
    /// For the hosts at these places in the world.
    pub fn new(holders: impl Iterator<Item = (usize, Holder)>) -> Self {
        let mut ledger = Self::default();
        for (host, Holder { name, addrs }) in holders {
            let known = addrs.iter().find_map(|addr| ledger.places.get(addr)).copied();
            let place = known.unwrap_or(host);
            ledger.places.extend(addrs.into_iter().map(|addr| (addr, place)));
            ledger.members.insert(host, Member { name, place, statement: Statement::default() });
        }
        ledger
    }

    /// One host's account up to now.
    pub fn statement(&self, host: usize) -> Statement {
        self.members.get(&host).map(|member| member.statement.clone()).unwrap_or_default()
    }

    /// Where the blocks came from.
    pub fn provenance(&self) -> Provenance {
        Provenance { blocks: self.blocks, strays: self.strays.clone() }
    }

    /// A whole block was heard: it must have been said.
    fn arrived(&mut self, at: Duration, host: usize, way: (usize, usize, RawBlock)) {
        self.blocks += 1;
        match self.under_way.get_mut(&way) {
            Some(1) => drop(self.under_way.remove(&way)),
            Some(count) => *count -= 1,
            None if self.strays.len() < MAX_TOLD => {
                let name = |host| self.members.get(host).map_or("nobody", |member| &member.name);
                let (seconds, block) = (at.as_secs_f64(), way.2);
                let (to, from) = (name(&host), name(&way.0));
                self.strays
                    .push(format!("at {seconds:.1} s {to} got {block:?} from {from}, which had not sent it"));
            }
            None => {}
        }
    }
}

impl Listen for Ledger {
    fn hear(&mut self, event: &Event) {
        let Some(member) = self.members.get_mut(&event.line.host) else { return };
        let at = event.at.since(Instant::ZERO);
        let other = self.places.get(&event.line.peer.ip()).copied().unwrap_or(usize::MAX);
        match (event.way, &event.what) {
            (Way::Said, &What::Block(block)) => {
                let owed = settle(&mut self.open, event.line, block);
                member.statement.book(at, |account| {
                    account.said += u64::from(block.len);
                    account.owed -= owed;
                });
                *self.under_way.entry((member.place, other, block)).or_default() += 1;
            }
            (Way::Heard, &What::Block(block)) => {
                member.statement.book(at, |account| account.heard += u64::from(block.len));
                let way = (other, member.place, block);
                self.arrived(at, event.line.host, way);
            }
            (Way::Said, &What::Message(Message::Reject(block))) => {
                let owed = settle(&mut self.open, event.line, block);
                member.statement.book(at, |account| account.owed -= owed);
            }
            (Way::Heard, &What::Message(Message::Request(block))) => {
                self.open.entry(event.line.number).or_default().push(block);
                member.statement.book(at, |account| account.owed += u64::from(block.len));
            }
            // What was handed to it is sent by now, or never will be, and was counted in either case.
            (_, What::Closed) => drop(self.open.remove(&event.line.number)),
            _ => {}
        }
    }
}

/// A request has its answer; the bytes that were owed for it.
fn settle(open: &mut BTreeMap<u64, Vec<RawBlock>>, line: Line, answered: RawBlock) -> u64 {
    let Some(open) = open.get_mut(&line.number) else { return 0 };
    let place = open.iter().position(|&block| block == answered);
    place.map_or(0, |place| u64::from(open.remove(place).len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BLOCK: RawBlock = RawBlock { piece: 7, offset: 0, len: 16_384 };

    /// Three hosts: 1, and 2 and 3 behind one box.
    fn ledger() -> Ledger {
        let holder = |host: u8, addrs: &[[u8; 4]]| {
            let addrs = addrs.iter().map(|&addr| addr.into()).collect();
            (usize::from(host), Holder { name: format!("peer-{host}"), addrs })
        };
        let shared = [198, 18, 0, 1];
        let hosts = [
            holder(1, &[[10, 0, 0, 1]]),
            holder(2, &[[10, 0, 0, 2], shared]),
            holder(3, &[[10, 0, 0, 3], shared]),
        ];
        Ledger::new(hosts.into_iter())
    }

    fn event(at: Duration, host: usize, peer: [u8; 4], way: Way, what: What) -> Event {
        let at = Instant::ZERO + at;
        let line = Line { number: host as u64, host, peer: (peer, 6881).into() };
        Event { at, since: at, line, way, what }
    }

    #[test]
    fn a_block_comes_from_who_sent_it_and_as_often_as_it_was_sent() {
        let mut ledger = ledger();
        let heard = || event(2 * SECOND, 1, [198, 18, 0, 1], Way::Heard, What::Block(BLOCK));
        ledger.hear(&event(SECOND, 3, [10, 0, 0, 1], Way::Said, What::Block(BLOCK)));
        ledger.hear(&heard());
        assert_eq!(ledger.provenance(), Provenance { blocks: 1, strays: Vec::new() });
        ledger.hear(&heard());
        let stray = "at 2.0 s peer-1 got RawBlock { piece: 7, offset: 0, len: 16384 } from peer-2, which had not \
                     sent it";
        assert_eq!(ledger.provenance(), Provenance { blocks: 2, strays: vec![stray.to_owned()] });
        (0..100).for_each(|_| ledger.hear(&heard()));
        assert_eq!(ledger.provenance().strays.len(), MAX_TOLD);
    }

    #[test]
    fn an_account_says_what_stood_in_it_at_any_time() {
        let mut ledger = ledger();
        for second in [10, 11, 20] {
            let peer = [10, 0, 0, 1];
            let at = SECOND * second;
            ledger.hear(&event(at, 2, peer, Way::Heard, What::Message(Message::Request(BLOCK))));
            ledger.hear(&event(at, 2, peer, Way::Said, What::Block(BLOCK)));
        }
        let statement = ledger.statement(2);
        let said = |account: Account| account.said / 16_384;
        let at = |seconds| (said(statement.least(SECOND * seconds)), said(statement.most(SECOND * seconds)));
        assert_eq!(
            [at(9), at(10), at(12), at(19), at(20), at(30)],
            [(0, 0), (0, 2), (2, 2), (2, 2), (2, 3), (3, 3)]
        );
        assert_eq!(statement.total(), Account { said: 49_152, heard: 0, owed: 0 });
        assert_eq!(ledger.statement(9), Statement::default(), "nobody's");
    }

    #[test]
    fn a_request_is_owed_until_its_answer_or_for_ever_if_its_connection_ends() {
        let mut ledger = ledger();
        let mut owed = |way, what| {
            ledger.hear(&event(SECOND, 2, [10, 0, 0, 1], way, what));
            let Account { said, owed, .. } = ledger.statement(2).total();
            [said, owed].map(|bytes| bytes / 16_384)
        };
        let request = || What::Message(Message::Request(BLOCK));
        let reject = || What::Message(Message::Reject(BLOCK));
        assert_eq!((owed(Way::Heard, request()), owed(Way::Heard, request())), ([0, 1], [0, 2]));
        assert_eq!((owed(Way::Said, What::Block(BLOCK)), owed(Way::Said, reject())), ([1, 1], [1, 0]));
        assert_eq!(owed(Way::Said, What::Block(BLOCK)), [2, 0], "nobody asked for that");
        assert_eq!((owed(Way::Heard, request()), owed(Way::Said, What::Closed)), ([2, 1], [2, 1]));
        assert_eq!(owed(Way::Said, reject()), [2, 1], "of another connection");
    }
}
