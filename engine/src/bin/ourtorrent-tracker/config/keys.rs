//! The table of all keys.

use engine::tracker::MAX_WORKERS;
use settings::fields::Value;
use settings::source::Refusal;

use super::Settings;
use super::values::{
    Shown, addresses, addresses_or_none, admin, bytes, bytes_text, count, file, files, flag, level,
    log_format, mode, names, networks, time,
};

/// When a changed value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// With a reload (SIGHUP).
    AtReload,
    /// Only when the tracker starts.
    AtStart,
}

/// What the file and the command line call one setting, and what it means.
pub(crate) struct Key {
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    /// The flag, without dashes.
    pub(crate) flag: &'static str,
    /// What stands for the value in `--help`.
    pub(crate) sample: &'static str,
    pub(crate) effect: Effect,
    pub(crate) doc: &'static str,
    pub(crate) read: fn(&mut Settings, &Value<'_>) -> Result<(), Refusal>,
    pub(crate) show: fn(&Settings) -> String,
}

impl Key {
    /// As `section.name`.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Does the flag come once for each value?
    pub(crate) fn is_list(&self) -> bool {
        (self.show)(&Settings::default()).starts_with('[')
    }
}

/// The tables of the file, in the order in which they are printed.
pub(crate) const SECTIONS: &[&str] = &["listen", "store", "rules", "limits", "access", "log"];

macro_rules! key {
    ($section:literal . $name:literal, --$flag:literal $sample:literal, $effect:ident, $($field:ident).+, $read:expr, $doc:literal) => {
        key!($section.$name, --$flag $sample, $effect, $($field).+, $read => Shown::show, $doc)
    };
    ($section:literal . $name:literal, --$flag:literal $sample:literal, $effect:ident, $($field:ident).+, $read:expr => $show:expr, $doc:literal) => {
        Key {
            section: $section,
            name: $name,
            flag: $flag,
            sample: $sample,
            effect: Effect::$effect,
            doc: $doc,
            read: |settings, value| {
                settings.$($field).+ = $read(value)?;
                Ok(())
            },
            show: |settings| {
                let show = $show;
                show(&settings.$($field).+)
            },
        }
    };
}

/// A day, in seconds.
const DAY: u64 = 86_400;

/// More than fits any machine's memory.
const MANY: usize = 1 << 32;

/// Every key there is.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key!("listen"."bind", --"bind" "IP:PORT", AtStart, bind, addresses,
        "Addresses to listen at over UDP. An IPv6 socket serves IPv6 only, so name both families"),
    key!("listen"."workers", --"workers" "COUNT", AtStart, workers, count::<0, MAX_WORKERS>,
        "Threads that answer requests; 0 takes one for each processor. One is enough up to some 200,000 requests a second"),
    key!("listen"."socket_buffer", --"socket-buffer" "SIZE", AtStart, socket_buffer, bytes => |bytes: &usize| bytes_text(*bytes),
        "What the kernel is asked to keep of requests, and of replies, at each UDP socket; it may grant less (net.core.rmem_max)"),
    key!("listen"."http", --"http" "IP:PORT", AtStart, http.bind, addresses_or_none,
        "Addresses to listen at over HTTP (announce and scrape, BEP 3, 23, 48); TLS is a reverse proxy's work"),
    key!("listen"."http_connections", --"http-connections" "COUNT", AtStart, http.max_connections, count::<1, 1_000_000>,
        "HTTP connections at all of them together at the most; each takes a descriptor"),
    key!("listen"."http_connections_per_source", --"http-connections-per-source" "COUNT", AtStart, http.max_connections_per_source, count::<1, 1_000_000>,
        "HTTP connections of one IPv4 address or IPv6 /64 at the most"),
    key!("listen"."trusted_proxies", --"trusted-proxy" "NETWORK", AtStart, http.trusted_proxies, networks,
        "Reverse proxies whose X-Forwarded-For says who asks: addresses or networks such as 10.0.0.0/8"),
    key!("listen"."admin", --"admin" "IP:PORT", AtStart, admin, admin,
        "Address of the status page, metrics and health, or a port alone, which means loopback; \"\": none"),
    key!("listen"."admin_hosts", --"admin-host" "NAME", AtStart, admin_hosts, names,
        "Names that browsers may use for the admin port, beside localhost and any address"),
    key!("store"."db", --"db" "FILE", AtStart, db, file,
        "Database file, made if it does not exist; \"\": nothing outlives the process"),
    key!("rules"."interval", --"interval" "TIME", AtReload, registry.interval, time::<10, DAY>,
        "Time that clients wait between announces, each told up to 10 % more or less; a silent one is forgotten after twice as long"),
    key!("rules"."min_interval", --"min-interval" "TIME", AtReload, registry.min_interval, time::<10, DAY>,
        "Time below which clients should not go when they announce on their own account (HTTP only: BEP 15 has no field for it)"),
    key!("rules"."default_peers", --"default-peers" "COUNT", AtReload, registry.default_peers, count::<1, 1000>,
        "Peers for a client that does not say how many it wants"),
    key!("rules"."peers_in_reply", --"peers-in-reply" "COUNT", AtReload, registry.max_peers_in_reply, count::<1, 1000>,
        "Peers for one announce at the most; over UDP what fits 1200 bytes (196 IPv4, 65 IPv6) is a bound as well"),
    key!("rules"."connection_window", --"connection-window" "TIME", AtReload, registry.connection_window, time::<10, DAY>,
        "How long a UDP connection id is good (BEP 15: two minutes)"),
    key!("rules"."connection_grace", --"connection-grace" "TIME", AtReload, registry.connection_grace, time::<0, DAY>,
        "What is added to that window, because clients in use keep an id for five minutes"),
    key!("limits"."torrents", --"max-torrents" "COUNT", AtReload, registry.max_torrents, count::<1, MANY>,
        "Torrents at the most, those included that are only remembered for their count"),
    key!("limits"."remembered", --"max-remembered" "COUNT", AtReload, registry.max_remembered, count::<0, MANY>,
        "Torrents without peers at the most, remembered for their count of completed downloads"),
    key!("limits"."peers", --"max-peers" "COUNT", AtReload, registry.max_members_in_total, count::<1, MANY>,
        "Peers of all torrents together at the most"),
    key!("limits"."peers_per_torrent", --"max-peers-per-torrent" "COUNT", AtReload, registry.max_members, count::<1, MANY>,
        "Peers of one torrent at the most, each family by itself"),
    key!("limits"."peers_per_source", --"max-peers-per-source" "COUNT", AtReload, registry.max_members_per_source, count::<1, MANY>,
        "Places of one IPv4 address or IPv6 /64 at the most, over all torrents"),
    key!("limits"."memory", --"max-memory" "SIZE", AtReload, registry.max_bytes, bytes => |bytes: &usize| bytes_text(*bytes),
        "Memory of torrents and peers at the most"),
    key!("access"."mode", --"access" "MODE", AtReload, mode, mode,
        "Which torrents are tracked: open (all), deny (all but the denied), allow (only the allowed). \
         Lists are in the database (see `ourtorrent-tracker torrent --help`) and in the files below"),
    key!("access"."private", --"private" "BOOL", AtReload, is_private, flag,
        "Answer only announces whose URL has a passkey of the database (see `ourtorrent-tracker passkey --help`)"),
    key!("access"."allow_files", --"allow-file" "FILE", AtReload, allow_files, files,
        "Files of allowed info hashes: 40 hexadecimal digits a line, # begins a comment"),
    key!("access"."deny_files", --"deny-file" "FILE", AtReload, deny_files, files,
        "Files of denied info hashes; who is allowed and denied is denied"),
    key!("log"."level", --"log-level" "LEVEL", AtReload, log_level, level,
        "error, warn, info, debug or trace; the variable OURTORRENT_LOG goes before the file"),
    key!("log"."format", --"log-format" "FORMAT", AtStart, log_format, log_format,
        "Log lines as text or as json, on standard error"),
    key!("log"."stats_every", --"stats-every" "TIME", AtReload, stats_every, time::<0, DAY>,
        "A line of counters this often; 0 never"),
];
