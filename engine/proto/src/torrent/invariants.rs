//! What must hold after every input: checked each time in this crate's own tests, and now and then in every
//! debug build (it costs O(pieces × peers), and the simulator runs thousands of machines).

use crate::torrent::machine::Torrent;

/// Check after every so many inputs.
const SAMPLE: u32 = if cfg!(test) { 1 } else { 1024 };

impl Torrent {
    /// Checks every [`SAMPLE`]th time.
    pub(super) fn sample_invariants(&mut self) {
        self.handled = self.handled.wrapping_add(1);
        if self.handled.is_multiple_of(SAMPLE) {
            self.assert_invariants();
        }
    }

    /// Panics if the parts contradict each other.
    fn assert_invariants(&self) {
        let mut on_order = 0;
        for peer in self.peers.values() {
            let lacking = || self.geometry.all_pieces().filter(|&p| peer.has.has(p) && self.wants(p));
            assert_eq!(peer.wanted as usize, lacking().count(), "pieces wanted from a peer");
            let startable = lacking().filter(|&piece| self.picker.holds(piece)).count();
            assert_eq!(peer.startable as usize, startable, "pieces that could be started with a peer");
            assert_eq!(peer.us.interested, peer.wanted > 0, "interest is exact");
            let fast = peer.fast.is_some();
            assert!(fast || !peer.them.choking || peer.pipeline.len() == 0, "on order at a choking peer");
            assert!(fast || !peer.us.choking || peer.uplink.len() == 0, "a choked peer's request is queued");
            assert!(peer.told <= self.announced.len());
            on_order += peer.pipeline.len();
        }
        let interested = self.peers.values().filter(|peer| peer.them.interested).count();
        assert_eq!(self.choker.interested, interested, "peers that want something");
        let lacking = self.geometry.all_pieces().filter(|&piece| self.wants(piece)).count();
        assert_eq!(self.wanted.is_finished(), lacking == 0, "finished is to have all that is wanted");
        on_order += self.web_seeds.on_order();
        assert_eq!(self.partials.on_order(), on_order, "each request under way is known to its piece");
        for piece in self.geometry.all_pieces() {
            let copies = self.peers.values().filter(|peer| peer.has.has(piece)).count();
            assert_eq!(self.picker.availability(piece) as usize, copies, "availability");
            let (started, doubted) = (self.partials.holds(piece), self.doubts.hold(piece));
            let places = [self.have.has(piece), self.picker.holds(piece), started, doubted];
            let count = places.iter().filter(|&&here| here).count();
            assert!(
                count == 1 || count == 0 && !self.wanted.wants(piece),
                "a piece is here, in doubt, started, to be started, or not wanted"
            );
            assert!(
                self.wanted.wants(piece) || !self.picker.holds(piece),
                "nobody starts what is not wanted"
            );
        }
    }
}
