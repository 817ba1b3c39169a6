//! What the user wants: interest, order, changes at any time, partial seeds (BEP 21).

use proptest::prelude::*;

use super::extended::{guest, introduce};
use super::*;
use crate::metainfo::Priority::{self, High, Low, Normal, Skip};
use crate::torrent::limits::{FIRST_INTEREST, RECONNECT_AFTER};
use crate::wire::extension::ExtensionHandshake;

fn pieces(blocks: &[RawBlock]) -> Vec<u32> {
    let mut pieces: Vec<_> = blocks.iter().map(|block| block.piece).collect();
    pieces.dedup();
    pieces
}

fn upload_only(outputs: &[Output], peer: PeerKey) -> Vec<Option<bool>> {
    let hello = |message| {
        let Message::Extended { id: 0, payload } = message else { return None };
        Some(ExtensionHandshake::decode(&payload).unwrap().upload_only)
    };
    said(outputs, peer).into_iter().filter_map(hello).collect()
}

#[test]
fn a_peer_with_nothing_but_unwanted_pieces_does_not_interest_us() {
    let mut table = Table::new(3, &[]);
    table.feed(Input::Wanted(vec![Skip, Normal, Normal]));
    let peer = table.peer(&[0]);
    assert!(!table.torrent.peers[&peer].us.interested);
    let outputs = table.say(peer, Message::Have { piece: 1 });
    assert_eq!(said(&outputs, peer), [Message::Interested]);
    let outputs = table.feed(Input::Wanted(vec![Normal, Skip, Skip]));
    assert_eq!(said(&outputs, peer), [], "another reason for the same interest");
    let outputs = table.feed(Input::Wanted(vec![Skip, Skip, Normal]));
    assert_eq!(said(&outputs, peer), [Message::NotInterested]);
}

#[test]
fn what_is_more_urgent_comes_first_and_the_rarest_within_that() {
    // Enough is here that no random first pieces are due.
    let mut table = Table::new(10, &[6, 7, 8, 9]);
    table.feed(Input::Wanted(vec![Low, Normal, High, High, Skip, Normal]));
    table.peer(&[0, 2, 3, 5]);
    table.peer(&[0, 2, 3, 5]);
    table.peer(&[0, 3, 1, 5]);
    table.peer(&[5]);
    let (peer, mut asked) = table.server(&(0..6).collect::<Vec<_>>());
    let mut order = Vec::new();
    while !asked.is_empty() {
        order.extend(pieces(&asked));
        let outputs: Vec<_> = asked.iter().flat_map(|&block| table.answer(peer, block)).collect();
        asked = requests(&outputs);
    }
    order.dedup();
    assert_eq!(order, [2, 3, 1, 5, 0]);
}

#[test]
fn an_urgent_piece_overtakes_one_that_is_started() {
    let mut table = Table::new(4, &[]);
    let (peer, asked) = table.server(&[0, 1, 2, 3]);
    let begun = asked[0].piece;
    let urgent = (begun + 1) % 4;
    let mut priorities = vec![Normal; 4];
    priorities[urgent as usize] = High;
    table.say(peer, Message::Choke);
    table.feed(Input::Wanted(priorities));
    let outputs = table.say(peer, Message::Unchoke);
    assert_eq!(pieces(&requests(&outputs)), [urgent]);
}

#[test]
fn what_is_not_wanted_any_more_is_cancelled_and_its_blocks_are_kept() {
    let mut table = Table::new(2, &[]);
    table.feed(Input::Wanted(vec![Normal, Skip]));
    let (peer, asked) = table.server(&[0, 1]);
    table.answer(peer, asked[0]);
    let outputs = table.feed(Input::Wanted(vec![Skip, Normal]));
    let cancelled = asked[1..].iter().map(|&block| Message::Cancel(block));
    let cancelled: Vec<_> = cancelled.collect();
    assert!(cancelled.iter().all(|cancel| said(&outputs, peer).contains(cancel)));
    assert_eq!(pieces(&requests(&outputs)), [1]);
    // It crossed our cancel: no crime.
    assert_eq!(closes(&table.answer(peer, asked[1])), []);
    table.say(peer, Message::Choke);
    table.feed(Input::Wanted(vec![Normal, Skip]));
    let outputs = table.say(peer, Message::Unchoke);
    assert_eq!(requests(&outputs), asked[1..], "the first block is here");
}

#[test]
fn all_that_is_wanted_is_no_completed_download() {
    let mut table = Table::new(3, &[]);
    table.feed(Input::Wanted(vec![Skip, Normal, Skip]));
    let (witness, hello) = guest(&mut table);
    assert_eq!(hello.upload_only, None);
    let (peer, asked) = table.server(&[0, 1, 2]);
    table.answer_all(peer, asked);
    table.write(1);
    let outputs = table.verify(1);
    assert!(outputs.contains(&Output::Event(Event::SelectionCompleted)));
    assert!(!outputs.contains(&Output::Event(Event::Completed)));
    //= BEP 3: `completed` is sent "when the download completes"; BEP 21: a partial seed is incomplete.
    assert!(!outputs.contains(&Output::Announce(Some(AnnounceEvent::Completed))));
    assert_eq!(table.torrent.progress().left, u64::from(2 * BLOCKS * BLOCK_LEN), "left is real bytes");
    assert_eq!(upload_only(&outputs, witness), [Some(true)]);
    assert_eq!(guest(&mut table).1.upload_only, Some(true));

    let outputs = table.feed(Input::Wanted(vec![]));
    assert_eq!(upload_only(&outputs, witness), [Some(false)]);
    assert!(said(&outputs, peer).contains(&Message::Interested));
    let mut asked = requests(&outputs);
    while let Some(block) = asked.pop() {
        asked.extend(requests(&table.answer(peer, block)));
    }
    table.write(0);
    table.write(2);
    table.verify(0);
    let outputs = table.verify(2);
    assert!(outputs.contains(&Output::Event(Event::Completed)));
    assert!(outputs.contains(&Output::Announce(Some(AnnounceEvent::Completed))));
}

#[test]
fn a_choice_of_what_is_here_is_complete_at_once() {
    let mut table = Table::new(2, &[0]);
    let outputs = table.feed(Input::Wanted(vec![Normal, Skip]));
    assert_eq!(outputs, [Output::Event(Event::SelectionCompleted)]);
    let mut seeder = Table::seeder(2);
    assert_eq!(seeder.feed(Input::Wanted(vec![Skip, Skip])), []);
}

#[test]
fn two_who_only_upload_part_until_one_of_them_chooses_more() {
    let mut table = Table::new(3, &[0]);
    table.feed(Input::Candidates(Source::Tracker, vec![address(1)]));
    table.feed(Input::Wanted(vec![Normal, Skip, Skip]));
    let (peer, _) = table.arrive_with(1, Direction::Outgoing, super::extended::extension_bit());
    table.say(peer, Message::Bitfield(bits(&table.metainfo, &[1]).to_wire()));
    let (leecher, _) = guest(&mut table);
    table.say(leecher, Message::Bitfield(bits(&table.metainfo, &[2]).to_wire()));
    assert_eq!(closes(&table.pass(FIRST_INTEREST)), [], "who says nothing may yet want something");
    introduce(&mut table, peer, &ExtensionHandshake { upload_only: Some(true), ..Default::default() });
    assert_eq!(closes(&table.pass(FIRST_INTEREST)), [(peer, DisconnectReason::BothUploadOnly)]);
    assert_eq!(dials(&table.pass(RECONNECT_AFTER * 2)), []);
    let outputs = table.feed(Input::Wanted(vec![Normal, Normal, Skip]));
    assert_eq!(dials(&outputs), [address(1)]);
}

/// What may happen to a download.
#[derive(Clone, Debug)]
enum Act {
    Choose(Vec<Priority>),
    /// The peer answers so many requests.
    Answer(usize),
    Choke,
    Unchoke,
    /// The disk and the hashing are done with what they have.
    Settle,
}

fn act() -> impl Strategy<Value = Act> {
    let level = prop::sample::select(vec![Skip, Low, Normal, High]);
    prop_oneof![
        prop::collection::vec(level, 0..9).prop_map(Act::Choose),
        (1usize..9).prop_map(Act::Answer),
        Just(Act::Choke),
        Just(Act::Unchoke),
        Just(Act::Settle),
    ]
}

/// A table whose disk and only peer do their work when told to.
struct Download {
    table: Table,
    peer: PeerKey,
    asked: Vec<RawBlock>,
    due: Vec<Input>,
    wanted: Vec<Priority>,
}

const PIECES: u32 = 8;

impl Download {
    fn new() -> Self {
        let mut table = Table::new(PIECES, &[]);
        let peer = table.peer(&(0..PIECES).collect::<Vec<_>>());
        let wanted = vec![Normal; PIECES as usize];
        Self { table, peer, asked: Vec::new(), due: Vec::new(), wanted }
    }

    fn note(&mut self, outputs: &[Output]) {
        for block in requests(outputs) {
            assert_ne!(self.wanted[block.piece as usize], Skip, "what is not wanted is not asked for");
            self.asked.push(block);
        }
        for output in outputs {
            if let Output::Send { message: Message::Cancel(block), .. } = output {
                self.asked.retain(|asked| asked != block);
            } else if let Output::Write { block, .. } = *output {
                self.due.push(Input::Written { block, ok: true });
            } else if let Output::Hash { piece } = *output {
                let hash = Some(self.table.metainfo.hash_of(piece));
                self.due.push(Input::Hashed { piece, hash });
            }
        }
        let parted = closes(outputs).into_iter().all(|(_, reason)| reason == DisconnectReason::BothComplete);
        assert!(parted, "nobody is to blame");
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Choose(priorities) => {
                self.wanted.clone_from(&priorities);
                self.wanted.resize(PIECES as usize, Normal);
                let outputs = self.table.feed(Input::Wanted(priorities));
                self.note(&outputs);
            }
            Act::Answer(count) => {
                for block in self.asked.drain(..count.min(self.asked.len())).collect::<Vec<_>>() {
                    let outputs = self.table.answer(self.peer, block);
                    self.note(&outputs);
                }
            }
            Act::Choke => {
                self.asked.clear();
                self.table.say(self.peer, Message::Choke);
            }
            Act::Unchoke => {
                let outputs = self.table.say(self.peer, Message::Unchoke);
                self.note(&outputs);
            }
            Act::Settle => {
                for input in std::mem::take(&mut self.due) {
                    let outputs = self.table.feed(input);
                    self.note(&outputs);
                }
            }
        }
    }

    /// Nothing interferes any more.
    fn finish(&mut self) {
        self.act(Act::Unchoke);
        for _ in 0..100 {
            self.act(Act::Answer(usize::MAX));
            self.act(Act::Settle);
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_chosen_in_whatever_order_what_is_wanted_in_the_end_is_here(
        acts in prop::collection::vec(act(), 0..40)
    ) {
        let mut download = Download::new();
        for act in acts {
            download.act(act);
        }
        download.finish();
        for (piece, &priority) in download.table.metainfo.geometry().all_pieces().zip(&download.wanted) {
            prop_assert!(priority == Skip || download.table.torrent.have().has(piece), "{piece:?}");
        }
        prop_assert_eq!(&download.asked, &[]);
    }
}
