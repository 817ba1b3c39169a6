//! Every limit and span of the peer engine in one place, each with its reason, and what a user may tune.

use crate::announce::Reach;
use crate::piece::BLOCK_LEN;
use crate::time::Duration;
use crate::torrent::policy::{NEEDIEST, NamedChoker, NamedPicker, RAREST_FIRST, TIT_FOR_TAT};

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with each other")]
pub struct TorrentConfig {
    /// Connections at the most.
    pub max_peers: usize,
    /// Dial while fewer connections than this are open or under way; the rest is left for those who dial us,
    /// or late arrivals would find every door closed.
    pub dial_below: usize,
    /// Dials under way at once that may well be answered; those that were not for 1.5 s count no more.
    pub max_dialling: usize,
    /// Regular upload slots at the most; how many of them are open follows from the uplink's rate or limit.
    pub upload_slots: usize,
    /// Optimistic upload slots, on top of the regular ones.
    pub optimistic_slots: usize,
    /// Connections from one address at the most; homes and offices share one.
    pub max_per_address: usize,
    /// Pieces that a newcomer may fetch while it is choked (BEP 6).
    pub allowed_fast: u32,
    /// Which of its trackers hear of it; one at a time if it is private (BEP 27).
    pub reach: Reach,
    /// Exchange addresses with peers (BEP 11); never for a private torrent.
    pub pex: bool,
    /// Find peers in the local network and be found there (BEP 14); never for a private torrent.
    pub lsd: bool,
    /// Fetch from the torrent's HTTP servers (BEP 19).
    pub web_seeds: bool,
    /// Show each peer one piece at a time until every piece is elsewhere (BEP 16), if complete at the start.
    pub super_seeding: bool,
    /// Which piece is fetched next.
    pub picker: NamedPicker,
    /// Whom a leecher serves first.
    pub choker: NamedChoker,
    /// Whom it serves first once it is complete.
    pub seed_choker: NamedChoker,
}

impl Default for TorrentConfig {
    fn default() -> Self {
        Self {
            max_peers: 50,
            dial_below: 22,
            max_dialling: 16,
            upload_slots: 50,
            optimistic_slots: 1,
            max_per_address: 8,
            allowed_fast: 10,
            reach: Reach::OneTracker,
            pex: true,
            lsd: false,
            web_seeds: true,
            super_seeding: false,
            picker: RAREST_FIRST,
            choker: TIT_FOR_TAT,
            seed_choker: NEEDIEST,
        }
    }
}

/// A choke round (BEP 3: ten seconds, so that TCP can ramp up).
pub(super) const CHOKE_ROUND: Duration = Duration::from_secs(10);
/// The optimistic unchoke moves on every third round (BEP 3: thirty seconds).
pub(super) const OPTIMISTIC_ROUNDS: u32 = 3;
/// A connection younger than this is new, and three times as likely to be the next optimistic unchoke (BEP 3).
pub(super) const NEW_PEER: Duration = Duration::from_secs(60);
/// The optimistic unchoke is drawn from this fraction of the peers, those with the fewest pieces: a peer that
/// falls behind for want of connections finishes last, and then the others' uplinks idle.
pub(super) const NEEDY_PART: usize = 4;
/// How much likelier a new peer is to be chosen.
pub(super) const NEW_PEER_WEIGHT: u64 = 3;
/// The span over which the choker compares rates: two rounds.
pub(super) const CHOKER_SPAN: Duration = Duration::from_secs(20);

/// Regular upload slots at the least: one taker alone may be slower than the uplink.
pub(super) const MIN_SLOTS: usize = 2;
/// Regular upload slots to begin with, while the uplink's rate is unknown.
pub(super) const START_SLOTS: usize = 3;
/// Bytes a second that a slot is worth opening for: a window of 64 KiB at the delay of a full home uplink.
pub(super) const SLOT_RATE: u64 = 50_000;
/// The best rate fades by this fraction each round: an uplink that became slower is known after minutes.
pub(super) const BEST_RATE_FADES: u64 = 50;

/// Who was served for a whole round and asked for nothing comes after all others for this long: a stalled client
/// that has nothing would be furthest behind for ever.
pub(super) const IDLE_SLOT: Duration = Duration::from_secs(60);

/// A peer may take this long to say that it is interested at all: transmission thinks about it every ten seconds
/// only, on a machine that may be slow.
pub(super) const FIRST_INTEREST: Duration = Duration::from_secs(30);

/// Send something at least this often; clients close after 120 s of silence (BEP 3).
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// Close after this much silence: one keep-alive may be late.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(180);

/// While every connection is taken, one of which neither side wants anything ends after this long: somebody else
/// may.
pub(super) const INACTIVITY: Duration = Duration::from_secs(600);

/// Requests at a peer of unknown speed: 64 KiB fill a 100 ms round trip at 5 Mbit/s.
pub(super) const MIN_PIPELINE: usize = 4;
/// Requests at one peer at the most; other clients drop what exceeds 250 to 500.
pub(super) const MAX_PIPELINE: usize = 250;
/// Keep this much time's worth of requests at a peer, on top of the round trip.
pub(super) const PIPELINE_SPAN: Duration = Duration::from_secs(1);
/// The span over which a pipeline is sized.
pub(super) const PIPELINE_METER: Duration = Duration::from_secs(4);
/// A peer is fast if it brings a whole piece within this time, by its rate. libtorrent takes 20 s; but a home uplink
/// needs as long for a piece, and few open pieces are shared sooner than many.
pub(super) const WHOLE_PIECE: Duration = Duration::from_secs(5);
/// A peer that owes blocks and sent none for this long is snubbing us; others may fetch what it owes.
pub(super) const SNUB_AFTER: Duration = Duration::from_secs(20);
/// What a peer owes is taken back after this much silence, and one block asked for anew: clients do forget
/// requests, and the only source of a block may be one of them.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// In endgame, requesters of one block at the most.
pub(super) const MAX_REQUESTERS: u8 = 2;
/// In endgame, a second request is worth its bytes only if the first one's block is not due for this long.
pub(super) const ENDGAME_GAIN: Duration = Duration::from_secs(4);

/// In endgame, everybody's chances are weighed anew this often, since a peer that stalls causes no event.
pub(super) const ENDGAME_LOOK: Duration = Duration::from_secs(1);
/// Bytes a second expected of a peer that has not sent anything yet.
pub(super) const UNPROVEN_RATE: u64 = BLOCK_LEN as u64;

/// Requests queued for one peer; libtorrent, the most generous, keeps 2000 as well.
pub(super) const MAX_QUEUED_REQUESTS: usize = 2000;
/// Requests of a peer that are refused since it was last unchoked: twice what crosses a choke at the most, as
/// clients have up to 500 under way. Each reject costs our uplink as much as the request cost theirs.
pub(super) const MAX_REFUSED_REQUESTS: u32 = 1000;
/// Bytes handed to a peer's connection and not yet sent, at least: two blocks keep a socket busy.
pub(super) const MIN_SEND_WATERMARK: u64 = 2 * BLOCK_LEN as u64;
/// The same, at the most.
pub(super) const MAX_SEND_WATERMARK: u64 = 1 << 20;
/// The same, as a span of the peer's upload rate.
pub(super) const SEND_SPAN: Duration = Duration::from_millis(500);
/// Unsent bytes at which a peer is taken to have stopped reading: far above the watermark and any burst of
/// control messages.
pub(super) const MAX_UNSENT: u64 = 2 * MAX_SEND_WATERMARK;
/// Requests that we took back and that a peer may still answer; the oldest is forgotten.
pub(super) const MAX_EXCUSED: usize = 4 * MAX_PIPELINE;
/// Rejects of requests that were never made: beyond any race, the other side is confused.
pub(super) const MAX_STRAY_REJECTS: u32 = 100;
/// A peer that refuses a request although it serves us is asked again after this long.
pub(super) const REJECT_PAUSE: Duration = Duration::from_secs(2);
/// Pieces that a peer may suggest, and that it may allow while it chokes us; the oldest is forgotten.
pub(super) const MAX_SUGGESTIONS: usize = 32;
/// Bytes of blocks that a peer may send without ever being asked.
pub(super) const MAX_UNSOLICITED: u64 = 1 << 20;

/// Blocks received and not yet written, or on order, over all peers: 32 MiB of memory, and a third of a second at
/// 100 MB/s on order. A peer that owes less than [`MIN_PIPELINE`] is asked while what was received stays below.
pub(super) const MAX_WRITING: usize = 2048;
/// Pieces in doubt that are hashed at once: peers are still served meanwhile.
pub(super) const PARALLEL_DOUBTS: usize = 2;
/// After a storage failure, downloading resumes no sooner.
pub(super) const STORAGE_RETRY: Duration = Duration::from_secs(15);
/// Blocks of failed pieces that are remembered with their givers: some 5 MiB of memory, for a GiB of bad data.
pub(super) const MAX_EVIDENCE: usize = 1 << 16;
/// Bytes of failed pieces that are kept while they are fetched anew: four of the longest that are common.
pub(super) const MAX_HELD: usize = 64 << 20;
/// Givers whose part in attempts at one piece is remembered; beyond that the count starts anew.
pub(super) const MAX_SUSPECT_GIVERS: usize = 256;

/// Known addresses at the most, as in libtorrent's peer list.
pub(super) const MAX_CANDIDATES: usize = 3000;
/// Addresses of one connected peer that are remembered: one of each family, and as many that changed.
pub(super) const MAX_PEER_ADDRS: usize = 4;
/// Refused addresses at the most; the oldest is forgiven first.
pub(super) const MAX_BANNED: usize = 1000;
/// A dial that was not answered after this long is hardly answered at all: five round trips of the slowest paths.
pub(super) const DIAL_HOPE: Duration = Duration::from_millis(1500);
/// Dials under way at once, with and without hope: small home routers have room for some hundreds of connections.
pub(super) const MAX_UNANSWERED: usize = 64;
/// Wait this long after the first failed dial, twice as long after each further one.
pub(super) const DIAL_BACKOFF: Duration = Duration::from_secs(15);
/// Forget an address after this many failed dials in a row.
pub(super) const MAX_DIAL_FAILURES: u32 = 5;
/// An address that once led to a peer is never given up, and tried this often at the least.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(3600);
/// Wait this long before dialling a peer again whose connection ended.
pub(super) const RECONNECT_AFTER: Duration = Duration::from_secs(60);
/// Ask the tracker for more peers no more often than this; its own minimum interval holds as well.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Addresses in the book at the most that one peer told us of (BEP 11: untrusted).
pub(super) const MAX_RUMOURS: usize = 100;
/// Peer exchange with a peer begins so long after its handshake: by then there is something to tell.
pub(super) const PEX_FIRST: Duration = Duration::from_secs(5);
/// Between two messages of peer exchange (BEP 11: at most one a minute).
pub(super) const PEX_INTERVAL: Duration = Duration::from_secs(60);
/// A message that comes sooner after the one before is not read: a minute, less what a network may squeeze.
pub(super) const PEX_TOLERANCE: Duration = Duration::from_secs(45);
/// So many unread messages are a flood.
pub(super) const MAX_EARLY_GOSSIP: u32 = 10;
/// How often a peer may have the whole info dictionary from us in one connection.
pub(super) const METADATA_ROUNDS: u32 = 3;

/// Peers that are asked for the info dictionary at once, each for the whole of it.
pub(super) const GIVERS: usize = 3;
/// Blocks of metadata under way from one peer: 128 KiB, which is more than most have in all.
pub(super) const MAX_GIVER_REQUESTS: u32 = 8;
/// A peer that does not help with the metadata for this long makes room for another.
pub(super) const GIVER_PATIENCE: Duration = Duration::from_secs(20);
/// The same for a peer without metadata that may name others: it speaks once a minute (BEP 11).
pub(super) const GOSSIP_PATIENCE: Duration = Duration::from_secs(70);

/// A super-seeder shows a peer another piece when nobody has fetched the one before from it for this long.
pub(super) const SHOW_PATIENCE: Duration = Duration::from_secs(30);

/// `have` messages to one peer at once: a super-seeder may have millions of them to say when it is done.
pub(super) const MAX_HAVES: usize = 4096;
/// `have` messages that change nothing at once wait this long, to share a packet.
pub(super) const HAVE_DELAY: Duration = Duration::from_secs(2);

/// Web seeds that send at once: each has a line of its own, and a few fill any downlink.
pub(super) const MAX_FETCHES: usize = 4;
/// A web seed is asked for this much time's worth of bytes: BEP 19 wants few long requests rather than hundreds.
pub(super) const FETCH_SPAN: Duration = Duration::from_secs(20);
/// Bytes asked of a web seed at once, at the least (unless the gap is smaller).
pub(super) const MIN_FETCH: u64 = 1 << 20;
/// The same, at the most: what is on order there is not asked of peers.
pub(super) const MAX_FETCH: u64 = 16 << 20;
/// Bytes of a fetch that may be on their way from the driver to the storage.
pub(super) const FETCH_CREDIT: usize = 1 << 20;
/// A web seed that sends nothing for this long has failed.
pub(super) const FETCH_PATIENCE: Duration = Duration::from_secs(30);
/// Wait this long after a web seed's first failure, twice as long after each further one in a row.
pub(super) const WEB_BACKOFF: Duration = Duration::from_secs(15);
/// The longest wait, also by the server's own word.
pub(super) const MAX_WEB_BACKOFF: Duration = Duration::from_secs(30 * 60);
/// The span over which a web seed's rate is measured.
pub(super) const WEB_METER: Duration = Duration::from_secs(10);
