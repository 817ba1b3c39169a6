//! Every way in which a tracker of these tests breaks a rule, smallest first.
//!
//! Offsets are BEP 15's: a request has its connection id at 0, action at 8, transaction id at 12; an
//! announce its info hash at 16, left at 64, event at 80, ip at 84, `num_want` at 92, port at 96; a reply its
//! action at 0, transaction id at 4; an announce reply interval, leechers and seeders at 8, peers at 20.

use crate::mutant::{Defect, Fate, Scene};

const CONNECT: u8 = 0;
const ANNOUNCE: u8 = 1;
const SCRAPE: u8 = 2;
const ERROR: u8 = 3;

fn is_announce(request: &[u8]) -> bool {
    request.len() >= 98 && request[11] == ANNOUNCE
}

/// Changes announces on their way in.
const fn announces(
    name: &'static str,
    breaks: &'static [&'static str],
    request: fn(&mut Scene, &mut Vec<u8>) -> Fate,
) -> Defect {
    Defect { name, breaks, request, ..Defect::NONE }
}

/// Changes replies on their way out.
const fn replies(
    name: &'static str,
    breaks: &'static [&'static str],
    reply: fn(&mut Scene, &[u8], &mut Vec<u8>),
) -> Defect {
    Defect { name, breaks, reply, ..Defect::NONE }
}

fn serve_if(holds: bool) -> Fate {
    if holds { Fate::Serve } else { Fate::Ignore }
}

fn any_id(scene: &mut Scene, request: &mut [u8]) -> Fate {
    if request.len() >= 16 && request[11] != CONNECT {
        request[..8].copy_from_slice(&scene.good_id());
    }
    Fate::Serve
}

/// What happens to the bytes of an announce.
fn patch(request: &mut [u8], at: usize, bytes: &[u8]) -> Fate {
    if is_announce(request) {
        request[at..at + bytes.len()].copy_from_slice(bytes);
    }
    Fate::Serve
}

pub(crate) static DEFECTS: &[Defect] = &[
    Defect { name: "answers twice", breaks: &["connect.in-flight"], copies: 2, ..Defect::NONE },
    Defect {
        name: "answers from elsewhere",
        breaks: &["connect.source"],
        from_elsewhere: true,
        ..Defect::NONE
    },
    replies("long connect reply", &["connect.reply"], |_, _, reply| {
        if reply[3] == CONNECT {
            reply.extend([0; 4]);
        }
    }),
    announces("connect of 16 bytes only", &["connect.longer"], |_, request| {
        serve_if(request.len() == 16 || request[11] != CONNECT)
    }),
    announces("an id serves once", &["connect.id-reused"], |scene, request| {
        let uses = scene.seen.entry(scene.from).or_default();
        *uses += u32::from(request[11] != CONNECT);
        serve_if(*uses <= 1)
    }),
    announces(
        "any id",
        &["connect.id-forged", "connect.id-forged-scrape", "connect.id-foreign"],
        |scene, request| any_id(scene, request),
    ),
    Defect {
        reply: |scene, _, reply| {
            if reply[3] == CONNECT {
                scene.count += 1;
                reply[8..12].fill(0);
                reply[12..16].copy_from_slice(&scene.count.to_be_bytes());
            }
        },
        ..announces("ids are a counter", &["connect.id-unguessable"], |scene, request| any_id(scene, request))
    },
    announces("any magic number", &["connect.protocol-id"], |_, request| {
        if request[11] == CONNECT {
            request[..8].copy_from_slice(&0x0417_2710_1980_u64.to_be_bytes());
        }
        Fate::Serve
    }),
    replies("a cut peer at the end", &["announce.reply"], |_, _, reply| {
        if reply[3] == ANNOUNCE {
            reply.extend([127, 0, 0]);
        }
    }),
    announces("loses every second announce", &["announce.in-flight"], |scene, request| {
        scene.count += u32::from(is_announce(request));
        serve_if(!is_announce(request) || scene.count.is_multiple_of(2))
    }),
    replies("interval 0", &["announce.interval", "announce.interval-sane"], |_, _, reply| {
        if reply[3] == ANNOUNCE {
            reply[8..12].fill(0);
        }
    }),
    replies("seeders before leechers", &["announce.counts-order"], |_, _, reply| {
        if reply[3] == ANNOUNCE {
            reply[12..20].rotate_left(4);
        }
    }),
    replies("little-endian", &["announce.big-endian"], |_, _, reply| {
        if reply[3] == ANNOUNCE {
            reply[8..20].chunks_mut(4).for_each(<[u8]>::reverse);
            reply[20..].chunks_mut(6).for_each(|peer| peer[4..].reverse());
        }
    }),
    replies("who asks is not counted", &["announce.counts-asker"], |_, _, reply| {
        if reply[3] == ANNOUNCE {
            reply[15] = reply[15].saturating_sub(1);
        }
    }),
    replies("no peers", &["peers.meet", "peers.num-want-default"], |_, _, reply| {
        if reply[3] == ANNOUNCE {
            reply.truncate(20);
        }
    }),
    announces("one swarm for all", &["peers.swarms-apart"], |_, request| patch(request, 16, &[9; 20])),
    announces("num_want is not read", &["peers.num-want", "peers.num-want-zero"], |_, request| {
        patch(request, 92, &[255; 4])
    }),
    replies("a long reply", &["peers.num-want-huge"], |_, _, reply| {
        if reply[3] == ANNOUNCE && reply.len() > 500 {
            reply.resize(20 + 6 * 300, 1);
        }
    }),
    replies("a peer twice", &["peers.distinct"], |_, _, reply| {
        if reply[3] == ANNOUNCE && reply.len() > 26 {
            reply.extend_from_within(20..26);
        }
    }),
    replies("echo of who asks", &["peers.not-self"], |_, request, reply| {
        if reply[3] == ANNOUNCE {
            reply.extend([127, 0, 0, 1, request[96], request[97]]);
        }
    }),
    announces("everybody is a leecher", &["peers.seeder"], |_, request| patch(request, 71, &[1])),
    Defect {
        reply: |_, _, reply| {
            if reply[3] == ANNOUNCE {
                let zero = |peer: &mut [u8]| {
                    if peer[4..] == [0, 9] {
                        peer[5] = 0;
                    }
                };
                reply[20..].chunks_mut(6).for_each(zero);
            }
        },
        ..announces("port 0 is a port", &["peers.port-zero"], |_, request| {
            if is_announce(request) && request[96..98] == [0, 0] {
                request[97] = 9;
            }
            Fate::Serve
        })
    },
    Defect {
        reply: |scene, _, reply| {
            if reply[3] == ANNOUNCE {
                reply.extend_from_slice(&scene.spoofed);
            }
        },
        ..announces("the ip field counts", &["peers.ip-field"], |scene, request| {
            if is_announce(request) && request[84..88] != [0; 4] {
                scene.spoofed = [&request[84..88], &request[96..98]].concat();
            }
            Fate::Serve
        })
    },
    announces("who completes stays a leecher", &["member.transitions"], |_, request| {
        if is_announce(request) && request[83] == 1 { patch(request, 71, &[1]) } else { Fate::Serve }
    }),
    announces("every announce is a new peer", &["member.repeated"], |scene, request| {
        scene.count += 1;
        if is_announce(request) && request[83] == 2 {
            request[96..98].copy_from_slice(&(9000 + scene.count as u16).to_be_bytes());
        }
        Fate::Serve
    }),
    announces("only started enters", &["member.regular"], |_, request| {
        if is_announce(request) && request[83] == 0 { patch(request, 83, &[3]) } else { Fate::Serve }
    }),
    announces(
        "stopped is not read",
        &["member.stopped-leaves", "member.stopped-no-peers", "member.stopped-stranger"],
        |_, request| {
            if is_announce(request) && request[83] == 3 { patch(request, 83, &[0]) } else { Fate::Serve }
        },
    ),
    announces("peers are their ids", &["member.by-address"], |_, request| {
        if is_announce(request) {
            let id = request[54] | 1;
            patch(request, 96, &[id, 1]);
        }
        Fate::Serve
    }),
    replies("completed is never counted", &["completed.counted"], |_, _, reply| {
        if reply[3] == SCRAPE && reply.len() >= 20 {
            reply[12..16].fill(0);
        }
    }),
    Defect {
        reply: |scene, _, reply| {
            if reply[3] == SCRAPE && reply.len() >= 20 {
                reply[12..16].copy_from_slice(&scene.count.to_be_bytes());
            }
        },
        ..announces("every completed counts", &["completed.once", "completed.stranger"], |scene, request| {
            scene.count += u32::from(is_announce(request) && request[83] == 1);
            Fate::Serve
        })
    },
    replies("a long scrape reply", &["scrape.reply", "scrape.none", "scrape.ragged"], |_, _, reply| {
        if reply[3] == SCRAPE {
            reply.extend([0; 12]);
        }
    }),
    replies("leechers before seeders", &["scrape.counts-order"], |_, _, reply| {
        if reply[3] == SCRAPE && reply.len() >= 20 {
            let (seeders, leechers) = reply[8..20].split_at_mut(8);
            seeders[..4].swap_with_slice(leechers);
        }
    }),
    replies("a scrape backwards", &["scrape.positional"], |_, _, reply| {
        if reply[3] == SCRAPE {
            let entries: Vec<_> = reply[8..].chunks(12).rev().flatten().copied().collect();
            reply[8..].copy_from_slice(&entries);
        }
    }),
    replies("ten entries at most", &["scrape.most"], |_, _, reply| {
        if reply[3] == SCRAPE {
            reply.truncate(8 + 120);
        }
    }),
    announces("a long scrape kills", &["scrape.oversize"], |_, request| {
        if request.len() > 1500 && request[11] == SCRAPE { Fate::Die } else { Fate::Serve }
    }),
    announces("unknown actions are announces", &["action.unknown"], |_, request| {
        if request[11] > SCRAPE {
            let head = [&[0, 0, 0, 1], &request[12..16], &[0; 12]].concat();
            return Fate::Answer(head);
        }
        Fate::Serve
    }),
    replies("errors without a transaction id", &["error.form"], |_, _, reply| {
        if reply[3] == ERROR {
            reply[4..8].fill(0);
        }
    }),
    replies("errors end with a NUL", &["error.text"], |_, _, reply| {
        if reply[3] == ERROR {
            reply.push(0);
        }
    }),
    replies("long errors", &["unverified.bytes"], |_, _, reply| {
        if reply[3] == ERROR {
            reply.resize(300, b'!');
        }
    }),
    announces("short announces do", &["short.announce"], |_, request| {
        if request.len() >= 16 && request[11] == ANNOUNCE && request.len() < 98 {
            request.resize(98, 1);
        }
        Fate::Serve
    }),
    announces("short connects do", &["short.connect"], |_, request| {
        if !request.is_empty() && request.len() < 16 { Fate::Answer(vec![0; 16]) } else { Fate::Serve }
    }),
    announces("an empty datagram kills", &["short.empty"], |_, request| {
        if request.is_empty() { Fate::Die } else { Fate::Serve }
    }),
    announces(
        "long garbage kills",
        &["garbage"],
        |_, request| {
            if request.len() > 1000 { Fate::Die } else { Fate::Serve }
        },
    ),
    announces("98 bytes only", &["options.url-data"], |_, request| {
        serve_if(!is_announce(request) || request.len() == 98)
    }),
    announces("one part only", &["options.split"], |_, request| {
        serve_if(!is_announce(request) || request.get(99) != Some(&3))
    }),
    announces("padding is an error", &["options.padding"], |_, request| {
        serve_if(!is_announce(request) || request.get(98) != Some(&1))
    }),
    announces("unknown types are errors", &["options.unknown"], |_, request| {
        serve_if(!is_announce(request) || request.get(98) != Some(&0x7f))
    }),
    announces("cut options are errors", &["options.cut"], |_, request| {
        serve_if(!is_announce(request) || proto::tracker::options::url_data(&request[98..]).is_ok())
    }),
];
