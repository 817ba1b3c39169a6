//! The mutations, in the order of their scenarios.

use engine::EngineConfig;
use sim::defect::catalogue::{
    ClaimsTooEarly, ForgetsPieces, HasFavourite, IgnoresGossip, KeepsMetadata, KnowsOne, LosesHaves,
    NeverStops, NoEndgame, ReadsWrong, SkipsHashes, SkipsSample, TellsStrangers,
};
use sim::defect::choice::{LeavesOut, TakesEverything};
use sim::defect::company::{DialsOneByOne, EvictsNamesakes, KnowsNobody, ServesTheChoked};
use sim::defect::{Defect, Tampered};

use crate::mutations::Mutation;

/// Waits to be dialled.
#[derive(Default)]
struct Waits;

impl Defect for Waits {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.torrent.dial_below = 0;
    }
}

/// All leechers have a defect.
fn leechers<D: Defect + Default + 'static>() -> Tampered {
    Tampered::only("leecher", D::default)
}

/// The seeder has one.
fn seeder<D: Defect + Default + 'static>() -> Tampered {
    Tampered::only("seeder", D::default)
}

/// A mutation of the engines.
const fn engines(
    scenario: &'static str,
    what: &'static str,
    sets: &'static [&'static str],
    tampered: fn() -> Tampered,
    by: &'static str,
) -> Mutation {
    Mutation { scenario, what, sets, tampered, by }
}

/// A mutation of what the claim rests on.
const fn world(
    scenario: &'static str,
    what: &'static str,
    sets: &'static [&'static str],
    by: &'static str,
) -> Mutation {
    engines(scenario, what, sets, Tampered::nobody, by)
}

/// A swarm of a size for mutations.
const SMALL: &[&str] = &["torrent.size=\"2 MiB\"", "peers.leecher.count=6"];

/// The first six files of many are wanted by few.
const FEW: &[&str] =
    &["torrent.size=\"1 MiB\"", "peers.whole.count=2", "peers.half.count=2", "peers.few.count=1"];

/// Every one; a short scenario without any fails the suite.
pub const MUTATIONS: &[Mutation] = &[
    world(
        "asymmetric_adsl",
        "modems with a queue of eight seconds",
        &["links.home.queue=1 MB"],
        "expect/efficiency",
    ),
    world(
        "asymmetric_partition",
        "nobody is heard for nearly all of the time",
        &["faults.1.for=29 s", "faults.1.count=12"],
        "expect/time",
    ),
    world("bursty_loss", "fades of two seconds", &["links.radio.bursts.length=2 s"], "expect/efficiency"),
    world(
        "churn",
        "leechers that give nothing",
        &[
            "peers.stayer.upload_slots=0",
            "peers.stayer.optimistic_slots=0",
            "peers.passer.upload_slots=0",
            "peers.passer.optimistic_slots=0",
            "peers.visitor.upload_slots=0",
            "peers.visitor.optimistic_slots=0",
            "run.time_limit=5 min",
        ],
        "liveness",
    ),
    world(
        "clock_skew",
        "further than connection ids live, and a third too fast",
        &["faults.3.by=+2 h", "peers.wrong.clock.drift=300000 ppm"],
        "expect/punctual",
    ),
    engines(
        "crash_and_resume",
        "resume data claim before the flush",
        &[],
        leechers::<ClaimsTooEarly>,
        "resume",
    ),
    engines("crash_and_resume", "no sample is hashed at a start", &[], leechers::<SkipsSample>, "resume"),
    engines(
        "day_long_soak",
        "who leaves does not say so",
        &[],
        || Tampered::only("guest", || NeverStops).and("taker", || NeverStops),
        "expect/counts",
    ),
    engines("dead_peers", "dials one by one", &[], leechers::<DialsOneByOne>, "expect/slowdown"),
    engines("disk_full_then_freed", "forgets its pieces", &[], leechers::<ForgetsPieces>, "resume"),
    engines("duplicate_peer_id", "takes all for one peer", &[], leechers::<KnowsOne>, "expect/slowdown"),
    engines("duplicate_peer_id", "evicts namesakes", &[], leechers::<EvictsNamesakes>, "expect/slowdown"),
    engines("endgame_last_piece", "no endgame", &[], leechers::<NoEndgame>, "expect/time"),
    engines(
        "flash_crowd",
        "nobody tells of its pieces",
        &["torrent.size=4 MiB", "peers.leecher.count=20"],
        leechers::<LosesHaves>,
        "expect/efficiency",
    ),
    world("free_riders", "a choker that draws at random", &["torrent.choker=random"], "expect/slowdown"),
    world(
        "high_latency",
        "everybody half a second further away",
        &[
            "torrent.size=3 MiB",
            "links.home.latency=500 ms",
            "peers.america.latency=500 ms",
            "peers.europe.latency=500 ms",
            "peers.asia.latency=500 ms",
        ],
        "expect/efficiency",
    ),
    world(
        "ipv6_dual_stack",
        "nobody speaks both",
        &["peers.both.family=ipv4", "run.time_limit=3 min"],
        "expect/completed",
    ),
    world(
        "lossy_links",
        "leans on two connections",
        &["torrent.size=4 MiB", "peers.leecher.count=10", "run.max_connections=2"],
        "expect/efficiency",
    ),
    engines("lying_peers", "no endgame", &["run.time_limit=3 min"], leechers::<NoEndgame>, "liveness"),
    engines(
        "magnet_from_peers",
        "keeps its metadata",
        &["run.time_limit=2 min"],
        seeder::<KeepsMetadata>,
        "liveness",
    ),
    engines(
        "many_small_files",
        "takes everything",
        FEW,
        || Tampered::only("few", TakesEverything::default),
        "integrity",
    ),
    engines(
        "many_small_files",
        "leaves out what is wanted",
        FEW,
        || Tampered::only("half", LeavesOut::default),
        "integrity",
    ),
    world(
        "missing_piece",
        "twice as many as the limit",
        &["peers.leecher.arrival={ poisson = \"2 s\" }"],
        "expect/population",
    ),
    world(
        "missing_piece_unstable",
        "a seeder eight times as fast",
        &["links.seedbox.up=4 Mbit/s"],
        "expect/population",
    ),
    engines(
        "nat_majority",
        "who cannot be dialled waits to be",
        &["run.time_limit=2 min"],
        || Tampered::only("mobile", Waits::default),
        "liveness",
    ),
    engines("optimistic_unchoke_is_fair", "a favourite", &[], seeder::<HasFavourite>, "expect/completed"),
    world("partition_heals", "it heals after three minutes", &["faults.1.for=180 s"], "expect/time"),
    engines("paused_host", "no endgame", &["run.time_limit=4 min"], leechers::<NoEndgame>, "expect/time"),
    engines(
        "pex_without_tracker",
        "nobody listens to peer exchange",
        &[],
        || Tampered::only("leecher", IgnoresGossip::default).and("seeder", IgnoresGossip::default),
        "expect/time",
    ),
    engines("poisoners", "skips hashes", SMALL, || Tampered::only("leecher-1", || SkipsHashes), "integrity"),
    // Its disk spoils what it serves: whoever refuses it is right, and the oracle cannot know.
    engines(
        "poisoners",
        "an honest peer is refused",
        SMALL,
        || Tampered::only("leecher-1", ReadsWrong::default),
        "justice",
    ),
    engines("power_loss", "forgets its pieces", &[], leechers::<ForgetsPieces>, "expect/overhead"),
    engines("power_loss", "nothing is made safe", &[], leechers::<ClaimsTooEarly>, "expect/overhead"),
    engines(
        "private_torrent",
        "offers peer exchange and metadata",
        &[],
        || Tampered::only("leecher-3", TellsStrangers::default),
        "protocol/private",
    ),
    engines("rude_peers", "serves whom it chokes", SMALL, leechers::<ServesTheChoked>, "protocol/answered"),
    world(
        "seed_leaves_at_one_copy",
        "the seeder leaves before that",
        &["faults=[{ when = { progress = \"5 %\" }, leave = \"seeder\" }]"],
        "expect/completed",
    ),
    engines("self_connect", "does not know itself", &[], leechers::<KnowsNobody>, "protocol/itself"),
    engines("slow_peer_does_not_stall", "no endgame", &[], leechers::<NoEndgame>, "expect/slowdown"),
    world(
        "steady_churn",
        "a seeder like a modem",
        &["links.seedbox.up=64 kbit/s", "run.time_limit=6 min"],
        "expect/time",
    ),
    world("super_seeding", "an ordinary seeder", &["peers.1.super_seed=false"], "expect/seed copies"),
    world(
        "small_crowd",
        "leechers that give nothing",
        &["peers.leecher.upload_slots=0", "peers.leecher.optimistic_slots=0"],
        "expect/efficiency",
    ),
    engines(
        "tiny_and_huge_pieces",
        "nobody tells of its pieces",
        &[],
        leechers::<LosesHaves>,
        "protocol/haves-told",
    ),
    world(
        "tracker_dies_and_returns",
        "it returns without its database",
        &["faults=[{ at = \"90 s\", lose_database = \"tracker\", for = \"20 s\" }]"],
        "expect/counted",
    ),
    world(
        "tracker_loses_database",
        "half an hour between announces",
        &["tracker.interval=30 min"],
        "expect/counts",
    ),
    world("tracker_overload", "no load is shed", &["tracker.shedding=false"], "expect/answered"),
];
