//! The mutations, in the order of their scenarios.

use std::time::Duration;

use sim::defect::catalogue::{
    AnswersTwice, ClaimsTooEarly, Dawdles, ForgetsPieces, HasFavourite, IgnoresGossip, IgnoresInterval,
    KeepsMetadata, KnowsOne, LosesHaves, NeverStops, NoEndgame, ReadsWrong, SkipsHashes, SkipsSample,
    StalePeerList, TellsStrangers,
};
use sim::defect::choice::{LeavesOut, TakesEverything};
use sim::defect::company::{DialsOneByOne, EvictsNamesakes, KnowsNobody, ServesTheChoked};
use sim::defect::{Defect, Tampered};

use crate::defects::{Drowns, HearsOfGhosts, KeepsConnectionId, LosesReplies, Waits};
use crate::mutations::Mutation;

/// All leechers have a defect.
fn leechers<D: Defect + Default + 'static>() -> Tampered {
    Tampered::only("leecher", D::default)
}

/// The seeder has one.
fn seeder<D: Defect + Default + 'static>() -> Tampered {
    Tampered::only("seeder", D::default)
}

/// The tracker has one.
fn tracker<D: Defect + Default + 'static>() -> Tampered {
    Tampered::only("tracker", D::default)
}

/// All of these hold every message back.
fn dawdling(groups: &[&str]) -> Tampered {
    let each = groups.iter();
    each.fold(Tampered::nobody(), |all, group| all.and(group, || Dawdles::by(Duration::from_secs(5))))
}

/// All of these send every second block twice.
fn twice(groups: &[&str]) -> Tampered {
    groups.iter().fold(Tampered::nobody(), |all, group| all.and(group, AnswersTwice::default))
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

/// A swarm in which floods are not waited for.
const FLOODED: &[&str] = &["torrent.size=\"2 MiB\"", "peers.leecher.count=6", "run.time_limit=1 min"];

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
    engines("bursty_loss", "blocks come twice", SMALL, || twice(&["seeder", "leecher"]), "expect/duplicates"),
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
    world("churn", "slower than the seeder can wait", &["links.home.down=128 kbit/s"], "expect/time"),
    world(
        "clock_skew",
        "further than connection ids live, and a third too fast",
        &["faults.3.by=+2 h", "peers.wrong.clock.drift=300000 ppm"],
        "expect/punctual",
    ),
    world("clock_skew", "slow links", &["links.home.up=250 kbit/s"], "expect/time"),
    engines("clock_skew", "the tracker names who came first", &[], tracker::<StalePeerList>, "expect/useful"),
    world(
        "clock_skew",
        "the tracker starts anew",
        &["faults=[{ at = \"100 s\", lose_database = \"tracker\", for = \"20 s\" }]"],
        "expect/counts",
    ),
    engines(
        "crash_and_resume",
        "resume data claim before the flush",
        &[],
        leechers::<ClaimsTooEarly>,
        "resume",
    ),
    engines("crash_and_resume", "no sample is hashed at a start", &[], leechers::<SkipsSample>, "resume"),
    world("crash_and_resume", "slow links", &["links.home.up=250 kbit/s"], "expect/time"),
    engines(
        "day_long_soak",
        "who leaves does not say so",
        &[],
        || Tampered::only("guest", || NeverStops).and("taker", || NeverStops),
        "expect/counts",
    ),
    engines(
        "day_long_soak",
        "the tracker names who came first",
        &[],
        tracker::<StalePeerList>,
        "expect/useful",
    ),
    engines(
        "day_long_soak",
        "hears of peers that are not there",
        &[],
        || Tampered::only("resident", HearsOfGhosts::default),
        "expect/known",
    ),
    engines("dead_peers", "dials one by one", &[], leechers::<DialsOneByOne>, "expect/slowdown"),
    engines("disk_full_then_freed", "forgets its pieces", &[], leechers::<ForgetsPieces>, "resume"),
    world("disk_full_then_freed", "full for twice as long", &["faults.2.for=45 s"], "expect/time"),
    engines(
        "disk_full_then_freed",
        "blocks come twice",
        &[],
        || twice(&["seeder", "leecher"]),
        "expect/duplicates",
    ),
    engines("duplicate_peer_id", "takes all for one peer", &[], leechers::<KnowsOne>, "expect/slowdown"),
    engines("duplicate_peer_id", "evicts namesakes", &[], leechers::<EvictsNamesakes>, "expect/slowdown"),
    engines("endgame_last_piece", "no endgame", &[], leechers::<NoEndgame>, "expect/time"),
    engines("endgame_last_piece", "blocks come twice", &[], || twice(&["fast", "slow"]), "expect/duplicates"),
    engines(
        "flash_crowd",
        "nobody tells of its pieces",
        &["torrent.size=4 MiB", "peers.leecher.count=20"],
        leechers::<LosesHaves>,
        "expect/efficiency",
    ),
    world("free_riders", "a choker that draws at random", &["torrent.choker=random"], "expect/slowdown"),
    world(
        "free_riders",
        "slots for whoever asks",
        &["torrent.choker=random", "torrent.optimistic_slots=16"],
        "expect/loot",
    ),
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
    world("ipv6_dual_stack", "two connections each", &["run.max_connections=2"], "expect/efficiency"),
    engines(
        "ipv6_dual_stack",
        "blocks come twice",
        &["torrent.size=2 MiB"],
        || twice(&["seeder", "old", "new", "both"]),
        "expect/duplicates",
    ),
    world(
        "lossy_links",
        "leans on two connections",
        &["torrent.size=4 MiB", "peers.leecher.count=10", "run.max_connections=2"],
        "expect/efficiency",
    ),
    engines("lossy_links", "blocks come twice", SMALL, || twice(&["seeder", "leecher"]), "expect/duplicates"),
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
    world("many_small_files", "slow links", &["links.home.up=1 Mbit/s"], "expect/time"),
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
    world("nat_majority", "two connections each", &["run.max_connections=2"], "expect/efficiency"),
    engines("optimistic_unchoke_is_fair", "a favourite", &[], seeder::<HasFavourite>, "expect/completed"),
    world("optimistic_unchoke_is_fair", "less than it takes", &["links.narrow.up=200 kbit/s"], "expect/time"),
    world("partition_heals", "it heals after three minutes", &["faults.1.for=180 s"], "expect/time"),
    engines("paused_host", "no endgame", &["run.time_limit=4 min"], leechers::<NoEndgame>, "expect/time"),
    engines("paused_host", "blocks come twice", &[], || twice(&["seeder", "leecher"]), "expect/duplicates"),
    world(
        "paused_host",
        "the tracker starts anew",
        &["faults=[{ at = \"100 s\", lose_database = \"tracker\", for = \"5 s\" }]"],
        "expect/counts",
    ),
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
        || Tampered::only("leecher", ReadsWrong::default),
        "justice",
    ),
    engines("poisoners", "everybody dawdles", &[], || dawdling(&["seeder", "leecher"]), "expect/banned"),
    engines("power_loss", "forgets its pieces", &[], leechers::<ForgetsPieces>, "expect/overhead"),
    world("power_loss", "slow links", &["links.home.up=1 Mbit/s"], "expect/time"),
    engines("power_loss", "nothing is made safe", &[], leechers::<ClaimsTooEarly>, "expect/overhead"),
    engines(
        "private_torrent",
        "offers peer exchange and metadata",
        &[],
        || Tampered::only("leecher-3", TellsStrangers::default),
        "protocol/private",
    ),
    world("private_torrent", "slow links", &["links.home.up=250 kbit/s"], "expect/time"),
    engines("rude_peers", "serves whom it chokes", SMALL, leechers::<ServesTheChoked>, "protocol/answered"),
    engines("rude_peers", "takes its time over each request", FLOODED, leechers::<Drowns>, "expect/slowdown"),
    world(
        "seed_leaves_at_one_copy",
        "the seeder leaves before that",
        &["faults=[{ when = { progress = \"5 %\" }, leave = \"seeder\" }]"],
        "expect/completed",
    ),
    engines("self_connect", "does not know itself", &[], leechers::<KnowsNobody>, "protocol/itself"),
    world("self_connect", "three connections each", &["run.max_connections=3"], "expect/efficiency"),
    engines("slow_peer_does_not_stall", "no endgame", &[], leechers::<NoEndgame>, "expect/slowdown"),
    world(
        "small_crowd",
        "leechers that give nothing",
        &["peers.leecher.upload_slots=0", "peers.leecher.optimistic_slots=0"],
        "expect/efficiency",
    ),
    world(
        "steady_churn",
        "a seeder like a modem",
        &["links.seedbox.up=64 kbit/s", "run.time_limit=6 min"],
        "expect/time",
    ),
    world("super_seeding", "an ordinary seeder", &["peers.1.super_seed=false"], "expect/seed copies"),
    world("super_seeding", "slow links", &["links.home.up=500 kbit/s"], "expect/time"),
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
        "tracker_dies_and_returns",
        "it stays away for four minutes",
        &["faults.1.for=240 s"],
        "expect/time",
    ),
    engines(
        "tracker_dies_and_returns",
        "it names who came first",
        &[],
        tracker::<StalePeerList>,
        "expect/useful",
    ),
    engines("tracker_dies_and_returns", "it loses replies", &[], tracker::<LosesReplies>, "expect/answered"),
    world(
        "tracker_loses_database",
        "half an hour between announces",
        &["tracker.interval=30 min"],
        "expect/counts",
    ),
    world(
        "tracker_loses_database",
        "it stays away for three minutes",
        &["faults.1.for=170 s"],
        "expect/time",
    ),
    engines(
        "tracker_loses_database",
        "it names who came first",
        &[],
        tracker::<StalePeerList>,
        "expect/useful",
    ),
    engines(
        "tracker_loses_database",
        "keeps its connection id",
        &[],
        || Tampered::only("early", KeepsConnectionId::default),
        "expect/answered",
    ),
    engines(
        "tracker_loses_database",
        "comes when it likes",
        &[],
        || Tampered::only("early", IgnoresInterval::default),
        "expect/punctual",
    ),
    world("tracker_overload", "no load is shed", &["tracker.shedding=false"], "expect/answered"),
    world("tracker_overload", "slow links", &["links.home.up=250 kbit/s"], "expect/time"),
];
