//! Every way in which an HTTP tracker of these tests breaks a rule.

use crate::http_mutant::{Fate, HttpDefect, Manners, Scene};

/// Changes requests on their way in.
const fn requests(
    name: &'static str,
    breaks: &'static [&'static str],
    request: fn(&mut Scene, &mut String) -> Fate,
) -> HttpDefect {
    HttpDefect { name, breaks, request, ..HttpDefect::NONE }
}

/// Changes the bodies of announces on their way out.
const fn replies(
    name: &'static str,
    breaks: &'static [&'static str],
    reply: fn(&mut Scene, &str, &mut Vec<u8>),
) -> HttpDefect {
    HttpDefect { name, breaks, reply, ..HttpDefect::NONE }
}

const fn manners(name: &'static str, breaks: &'static [&'static str], manners: Manners) -> HttpDefect {
    HttpDefect { name, breaks, manners, ..HttpDefect::NONE }
}

/// Is there something in `target` that this tracker dies of?
fn mortal(is_mortal: bool) -> Fate {
    if is_mortal { Fate::Die } else { Fate::Serve }
}

fn is_scrape(target: &str) -> bool {
    target.contains("/scrape")
}

/// The value of a parameter.
fn value<'a>(target: &'a str, key: &str) -> Option<&'a str> {
    target.split(['?', '&']).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

/// Gives a parameter another value.
fn put(target: &mut String, key: &str, new: &str) -> Fate {
    if let Some(old) = value(target, key) {
        *target = target.replace(&format!("{key}={old}"), &format!("{key}={new}"));
    }
    Fate::Serve
}

fn replace(body: &mut Vec<u8>, old: &[u8], new: &[u8]) {
    if let Some(at) = body.windows(old.len()).position(|window| window == old) {
        body.splice(at..at + old.len(), new.iter().copied());
    }
}

fn cut_from(body: &mut Vec<u8>, mark: &[u8]) -> Vec<u8> {
    let at = body.windows(mark.len()).position(|window| window == mark).unwrap_or(body.len());
    body.split_off(at)
}

/// The compact peers of an announce reply, at its end.
fn compact(body: &[u8]) -> Vec<u8> {
    let rest = cut_from(&mut body.to_vec(), b"5:peers");
    let Some(rest) = rest.strip_prefix(b"5:peers") else { return Vec::new() };
    let colon = rest.iter().position(|&byte| byte == b':').unwrap_or(0);
    rest.get(colon + 1..rest.len() - 1).unwrap_or_default().to_vec()
}

/// Puts other peers there.
fn put_peers(body: &mut Vec<u8>, key: &str, peers: &[u8]) {
    if !cut_from(body, b"5:peers").is_empty() {
        body.extend(format!("{}:{key}{}:", key.len(), peers.len()).bytes());
        body.extend_from_slice(peers);
        body.push(b'e');
    }
}

/// Adds a peer at `port` of 127.0.0.1, or at another address.
fn add_peer(body: &mut Vec<u8>, ip: [u8; 4], port: u16) {
    let peers = [&compact(body)[..], &ip, &port.to_be_bytes()].concat();
    put_peers(body, "peers", &peers);
}

fn port(target: &str) -> u16 {
    value(target, "port").and_then(|port| port.parse().ok()).unwrap_or(0)
}

const HOME: [u8; 4] = [127, 0, 0, 1];

pub(crate) static HTTP_DEFECTS: &[HttpDefect] = &[
    replies("keys as they come", &["http.reply", "http.scrape-sorted"], |_, target, body| {
        if is_scrape(target) {
            replace(body, b"d8:complete", b"d8:leechersi0e8:complete");
        } else {
            body.splice(1..1, *b"5:zebrai1e");
        }
    }),
    replies("interval 0", &["http.interval", "http.interval-sane"], |_, _, body| {
        let rest = cut_from(body, b"8:interval");
        body.extend(b"8:intervali0e");
        body.extend(rest.iter().skip(b"8:interval".len()).skip_while(|&&byte| byte != b'e').skip(1));
    }),
    replies("no counts", &["http.counts", "http.transitions", "http.repeated"], |_, _, body| {
        replace(body, b"8:complete", b"8:finished");
        replace(body, b"10:incomplete", b"10:unfinished");
    }),
    requests("escapes are upper case", &["http.escape-case"], |_, target| {
        if let Some(hash) = value(target, "info_hash").map(str::to_owned) {
            // What a tracker does that compares the text.
            let shifted = if hash.contains(|c: char| matches!(c, 'a'..='f')) { "a" } else { "b" };
            put(target, "info_hash", &shifted.repeat(20));
        }
        Fate::Serve
    }),
    requests("unknown parameters are errors", &["http.parameters"], |_, target| {
        if target.contains("x-unknown") {
            Fate::Answer(b"d14:failure reason4:huh?e".to_vec())
        } else {
            Fate::Serve
        }
    }),
    replies("half a peer", &["http.compact-whole"], |_, _, body| {
        let peers = compact(body);
        put_peers(body, "peers", &[&peers[..], &[127, 0, 0]].concat());
    }),
    requests("never compact", &["http.compact"], |_, target| {
        if value(target, "compact").is_none() {
            target.push_str("&compact=0");
        }
        put(target, "compact", "0")
    }),
    replies("dictionaries without port", &["http.compact-off"], |_, _, body| {
        replace(body, b"4:port", b"4:prot");
    }),
    replies("IPv4 among IPv6", &["http.own-family"], |_, _, body| {
        let peers: Vec<u8> = compact(body).chunks(6).flat_map(|peer| [&[0; 12], peer].concat()).collect();
        put_peers(body, "peers6", &peers);
    }),
    replies("no peers", &["http.meet", "http.numwant", "http.numwant-odd", "http.regular"], |_, _, body| {
        put_peers(body, "peers", &[]);
    }),
    requests("one swarm for all", &["http.swarms-apart"], |_, target| {
        put(target, "info_hash", &"a".repeat(20))
    }),
    requests("numwant is not read", &["http.numwant", "http.numwant-zero"], |_, target| {
        put(target, "numwant", "50")
    }),
    requests("numwant -1 is an error", &["http.numwant-odd"], |_, target| {
        if value(target, "numwant") == Some("-1") {
            Fate::Answer(b"d14:failure reason2:noe".to_vec())
        } else {
            Fate::Serve
        }
    }),
    replies("echo of who asks", &["http.not-self"], |_, target, body| add_peer(body, HOME, port(target))),
    HttpDefect {
        reply: |scene, target, body| {
            if !scene.memory.is_empty() && port(target) == 6250 {
                add_peer(body, HOME, 0);
            }
        },
        ..requests("port 0 is a port", &["http.port-zero"], |scene, target| {
            if port(target) == 0 {
                scene.memory.push(1);
                return put(target, "port", "9");
            }
            Fate::Serve
        })
    },
    requests("ports overflow", &["http.port-range"], |_, target| {
        let wide = value(target, "port").and_then(|port| port.parse::<u64>().ok());
        wide.map_or(Fate::Serve, |wide| put(target, "port", &(wide as u16).to_string()))
    }),
    HttpDefect {
        reply: |scene, _, body| {
            if !scene.memory.is_empty() {
                add_peer(body, [192, 0, 2, 77], 1);
            }
        },
        ..requests("ip is believed", &["http.ip-parameter"], |scene, target| {
            if value(target, "ip").is_some() {
                scene.memory.push(1);
            }
            Fate::Serve
        })
    },
    requests("nobody completes", &["http.transitions", "http.completed"], |_, target| {
        if target.contains("event=completed") {
            put(target, "left", "1");
            put(target, "event", "");
        }
        Fate::Serve
    }),
    requests("who comes again is another", &["http.repeated"], |scene, target| {
        scene.count += 1;
        if port(target) == 6305 {
            put(target, "port", &(7000 + scene.count).to_string());
        }
        Fate::Serve
    }),
    requests("regular announces enter nobody", &["http.regular"], |_, target| {
        if value(target, "event").is_none() {
            target.push_str("&event=stopped");
        }
        Fate::Serve
    }),
    requests(
        "nobody stops",
        &["http.stopped-leaves", "http.stopped-no-peers", "http.stopped-stranger"],
        |_, target| {
            if target.contains("event=stopped") { put(target, "event", "") } else { Fate::Serve }
        },
    ),
    replies("no such page", &["http.scrape-url"], |_, target, body| {
        if is_scrape(target) {
            *body = b"de".to_vec();
        }
    }),
    replies("hashes of 21 bytes", &["http.scrape-keys"], |_, target, body| {
        if is_scrape(target) {
            replace(body, b"d5:filesd20:", b"d5:filesd21:x");
        }
    }),
    replies("no downloaded", &["http.scrape-counts"], |_, _, body| {
        replace(body, b"10:downloaded", b"10:down-loads");
    }),
    replies("stale scrapes", &["http.scrape-agrees"], |_, _, body| {
        replace(
            body,
            b"d8:completei1e10:downloadedi0e10:incompletei2ee",
            b"d8:completei9e10:downloadedi0e10:incompletei2ee",
        );
    }),
    requests("the first hash only", &["http.scrape-many"], |_, target| {
        if is_scrape(target) {
            let end = target.match_indices('&').next().map_or(target.len(), |(at, _)| at);
            target.truncate(end);
        }
        Fate::Serve
    }),
    replies("unknown torrents have zeros", &["http.scrape-unknown"], |scene, target, body| {
        if is_scrape(target) {
            let hash = value(target, "info_hash").unwrap_or_default().as_bytes();
            let hash = proto::tracker::http::percent_decode(hash).unwrap_or_default();
            if !body.windows(20).any(|window| window == hash) {
                let entry = [b"20:", &hash[..], b"d8:completei0e10:downloadedi0e10:incompletei0ee"].concat();
                replace(body, b"d5:filesd", &[b"d5:filesd", &entry[..]].concat());
            }
            scene.count += 1;
        }
    }),
    HttpDefect {
        reply: |scene, target, body| {
            if is_scrape(target) {
                let count = scene.count;
                for old in 0..=1 {
                    let (old, new) = (format!("downloadedi{old}e"), format!("downloadedi{count}e"));
                    replace(body, old.as_bytes(), new.as_bytes());
                }
            }
        },
        ..requests(
            "every completed counts",
            &["http.completed-once", "http.completed-stranger"],
            |scene, target| {
                scene.count += u32::from(target.contains("event=completed"));
                Fate::Serve
            },
        )
    },
    requests("dies of a full scrape", &["http.scrape-none"], |_, target| {
        mortal(is_scrape(target) && value(target, "info_hash").is_none())
    }),
    requests("dies of a short hash in a scrape", &["http.scrape-malformed"], |_, target| {
        mortal(is_scrape(target) && value(target, "info_hash") == Some("%00"))
    }),
    requests("dies of a broken escape", &["http.hash-malformed"], |_, target| mortal(target.contains("%zz"))),
    requests("fills short hashes up", &["http.hash-malformed"], |_, target| {
        if value(target, "info_hash") == Some("a") {
            put(target, "info_hash", &"a".repeat(20))
        } else {
            Fate::Serve
        }
    }),
    replies("errors are pages", &["http.failure"], |_, _, body| {
        if body.starts_with(b"d14:failure") {
            *body = b"<html>Bad Request</html>".to_vec();
        }
    }),
    replies("failures with peers", &["http.failure-alone"], |_, _, body| {
        if body.starts_with(b"d14:failure") {
            body.splice(body.len() - 1.., *b"5:peers0:e");
        }
    }),
    manners("reads once", &["http.split"], Manners::ReadsOnce),
    manners("keeps and does not listen", &["http.keep-alive"], Manners::Deaf),
    manners("HTTP/1.1 only", &["http.version-1-0"], Manners::New),
    requests("dies of a long target", &["http.long-target"], |_, target| mortal(target.len() > 8192)),
    manners("dies of a half request", &["http.garbage"], Manners::Frail),
];
