//! Peers that lie: honest machines with a defect at the mouth or at the disk. They are judged by nobody; what counts
//! is what they do to others.

use bytes::Bytes;
use proto::bitfield::Bitfield;
use proto::piece::Block;
use proto::seed::{Random, Seed};
use proto::wire::{Message, RawBlock};

use super::plan::Habit;
use crate::defect::{At, Defect};

/// How often a liar lies that does so now and then: one time in so many.
const NOW_AND_THEN: u64 = 8;

/// One that is not honest.
pub(super) struct Liar {
    habit: Habit,
    pieces: u32,
    random: Random,
}

impl Liar {
    pub(super) fn new(habit: Habit, pieces: u32, seed: Seed) -> Self {
        Self { habit, pieces, random: seed.rng() }
    }

    fn sometimes(&mut self) -> bool {
        self.random.below(NOW_AND_THEN) == 0
    }

    /// A message that makes no sense, or none at this time.
    fn babble(&mut self) -> Message {
        let piece = self.random.below(2 * u64::from(self.pieces)) as u32;
        let block =
            RawBlock { piece, offset: self.random.next_u32() >> 17, len: 1 << (self.random.below(17)) };
        match self.random.below(12) {
            0 => Message::Have { piece },
            1 => Message::Request(block),
            2 => Message::Cancel(block),
            3 => Message::Reject(block),
            4 => Message::Piece { piece, offset: 0, data: Bytes::from_static(&[9; 100]) },
            5 => Message::Suggest { piece },
            6 => Message::AllowedFast { piece },
            7 => Message::HaveNone,
            8 => Message::Unknown { id: 77 },
            9 => {
                Message::Extended { id: self.random.below(4) as u8, payload: Bytes::from_static(b"d1:ai1ee") }
            }
            10 => Message::Choke,
            _ => Message::Unchoke,
        }
    }
}

impl Defect for Liar {
    fn says(&mut self, _: At, message: Message) -> Vec<Message> {
        let summary = matches!(message, Message::Bitfield(_) | Message::HaveNone | Message::HaveAll);
        let (habit, lies) = (self.habit, self.sometimes());
        match habit {
            Habit::Promises if summary => vec![Message::Bitfield(Bitfield::full(self.pieces).to_wire())],
            Habit::Promises if matches!(message, Message::Piece { .. } | Message::Reject(_)) => vec![],
            Habit::Chokes if message == Message::Unchoke => vec![],
            Habit::Forgets if !summary && lies => vec![],
            Habit::Repeats => vec![message.clone(), message],
            Habit::Babbles if lies => vec![message, self.babble()],
            Habit::Honest
            | Habit::Poisons
            | Habit::PoisonsSome
            | Habit::Promises
            | Habit::Chokes
            | Habit::Forgets
            | Habit::Babbles => vec![message],
        }
    }

    fn reads(&mut self, _: Block, data: Bytes) -> Bytes {
        let spoils = self.habit == Habit::Poisons || (self.habit == Habit::PoisonsSome && self.sometimes());
        if spoils { data.iter().map(|byte| !byte).collect() } else { data }
    }
}
