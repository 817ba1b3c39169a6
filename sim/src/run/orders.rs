//! What each peer has on order at present, as its connections tell: blocks asked for and neither come nor refused.

use std::collections::{BTreeMap, BTreeSet};

use proto::wire::{Message, RawBlock};

use crate::wiretap::{Event, Listen, Way, What};

/// A block by its piece and its first byte there.
type At = (u32, u32);

/// Blocks on order, by host.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// By the ends of connections.
    lines: BTreeMap<u64, BTreeSet<At>>,
    /// At how many ends each host has asked for a block.
    counts: BTreeMap<(usize, At), u32>,
}

impl Orders {
    /// Has the host at this place of the world asked for this block?
    pub(super) fn has(&self, host: usize, at: At) -> bool {
        self.counts.contains_key(&(host, at))
    }

    fn add(&mut self, event: &Event, block: RawBlock) {
        let at = (block.piece, block.offset);
        if self.lines.entry(event.line.number).or_default().insert(at) {
            *self.counts.entry((event.line.host, at)).or_default() += 1;
        }
    }

    fn settle(&mut self, event: &Event, block: RawBlock) {
        let at = (block.piece, block.offset);
        if self.lines.get_mut(&event.line.number).is_some_and(|asked| asked.remove(&at)) {
            self.count_down(event.line.host, at);
        }
    }

    fn count_down(&mut self, host: usize, at: At) {
        if let Some(count) = self.counts.get_mut(&(host, at)) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&(host, at));
            }
        }
    }

    /// Nothing asked there can be counted on. (Under BEP 6 a choke leaves requests standing, to be answered one by one.)
    fn drop_all(&mut self, event: &Event) {
        for at in self.lines.remove(&event.line.number).unwrap_or_default() {
            self.count_down(event.line.host, at);
        }
    }
}

impl Listen for Orders {
    fn hear(&mut self, event: &Event) {
        match (event.way, &event.what) {
            (Way::Said, What::Message(Message::Request(block))) => self.add(event, *block),
            (Way::Said, What::Message(Message::Cancel(block)))
            | (Way::Heard, What::Message(Message::Reject(block)) | What::Block(block)) => {
                self.settle(event, *block);
            }
            (Way::Heard, What::Message(Message::Choke)) | (_, What::Closed) => self.drop_all(event),
            _ => {}
        }
    }
}
