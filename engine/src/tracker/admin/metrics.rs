//! `/metrics`: the counters in Prometheus's text format, version 0.0.4.
//!
//! There is no histogram of the time that a request takes: two readings of the clock a request are a tenth
//! of the work. The shedding level and the sockets' failures say when the tracker is late.

use std::fmt::{Display, Write};

use serde::Serialize;

use super::Document;

/// Before every name.
const PREFIX: &str = "ourtorrent_tracker";

/// The document as Prometheus reads it.
pub(super) fn render(document: &Document) -> String {
    let mut text = Exposition::default();
    let tracker = &document.tracker;
    text.one("build_info", Kind::Gauge, "Always 1; the version is in the label.");
    text.sample("build_info", &[("version", document.version)], 1);
    text.gauge("uptime_seconds", "Time since the start.", document.uptime_s);
    text.gauge("healthy", "1 if /health says so.", u8::from(document.health.ok));
    put_requests(&mut text, document);
    put_registry(&mut text, document);
    put_http(&mut text, document);
    text.gauge("restored_peers", "Peers that the last restart brought back.", tracker.restored);
    text.counter("store_flushes_total", "Batches handed to the store.", tracker.flushes);
    text.counter("store_failures_total", "Flushes and syncs that failed.", tracker.store_failures);
    text.counter("socket_failures_total", "Receives at UDP sockets that failed.", tracker.socket_failures);
    text.counter("unsent_total", "UDP replies that the system did not take.", tracker.unsent);
    text.0
}

fn put_requests(text: &mut Exposition, Document { tracker, .. }: &Document) {
    let (registry, http) = (&tracker.registry, &tracker.http);
    let name = "requests_total";
    text.one(name, Kind::Counter, "Requests that could be read, UDP's with a good connection id.");
    // The registry counts the announces of both.
    let announces = registry.announces.saturating_sub(http.announces);
    for (kind, count) in
        [("connect", registry.connects), ("announce", announces), ("scrape", registry.scrapes)]
    {
        text.sample(name, &[("transport", "udp"), ("kind", kind)], count);
    }
    for (kind, count) in [("announce", http.announces), ("scrape", http.scrapes)] {
        text.sample(name, &[("transport", "http"), ("kind", kind)], count);
    }
    let name = "malformed_total";
    text.one(name, Kind::Counter, "Requests that could not be read.");
    text.sample(name, &[("transport", "udp")], registry.malformed);
    text.sample(name, &[("transport", "http")], http.malformed);
    text.counter("unverified_total", "UDP requests without a good connection id.", registry.unverified);
    text.counter("udp_datagrams_total", "Datagrams that arrived.", registry.requests);
    text.counter("udp_received_bytes_total", "Bytes of datagrams that arrived.", registry.bytes_in);
    text.counter("udp_sent_bytes_total", "Bytes of replies over UDP.", registry.bytes_out);
}

fn put_registry(text: &mut Exposition, Document { tracker, .. }: &Document) {
    let registry = &tracker.registry;
    let name = "announces_total";
    text.one(name, Kind::Counter, "Announces by the family of their source.");
    text.sample(name, &[("family", "ipv4")], registry.announces.saturating_sub(registry.announces_v6));
    text.sample(name, &[("family", "ipv6")], registry.announces_v6);
    text.each("refused_total", "Announces that were refused.", "reason", &registry.refused);
    text.each("shed_total", "What load shedding did.", "measure", &registry.shed);
    text.gauge("shed_level", "0: nothing is shed; 4: requests are dropped.", registry.shed.level);
    text.counter("scraped_torrents_total", "Info hashes that scrapes asked for.", registry.scraped_torrents);
    text.counter("completed_total", "Downloads that ended.", registry.completed);
    text.counter("expired_peers_total", "Peers that fell silent.", registry.expired);
    text.counter("forgotten_torrents_total", "Counts that gave way to others.", registry.forgotten);
    text.gauge("torrents", "Torrents in memory.", registry.torrents);
    text.gauge("remembered_torrents", "Torrents without peers.", registry.remembered);
    let name = "peers";
    text.one(name, Kind::Gauge, "Peers in memory.");
    text.sample(name, &[("family", "ipv4")], registry.members.saturating_sub(registry.members_v6));
    text.sample(name, &[("family", "ipv6")], registry.members_v6);
    text.gauge("memory_bytes", "Memory of swarms, as estimated.", registry.memory_bytes);
}

fn put_http(text: &mut Exposition, Document { tracker, .. }: &Document) {
    let http = &tracker.http;
    text.counter("http_connections_total", "Connections that were accepted.", http.connections);
    text.gauge("http_connections", "Connections that are open.", http.open);
    text.counter("http_full_total", "Connections closed at once, for their number.", http.full);
    text.counter("http_cut_total", "Connections that were cut: slow, or no HTTP.", http.cut);
    text.counter("http_accept_failures_total", "Accepts that failed.", http.accept_failures);
    text.counter("http_strays_total", "Requests for other paths or with other methods.", http.strays);
    text.counter("http_sent_bytes_total", "Bytes of HTTP bodies.", http.bytes_out);
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    /// Opens a family of samples. Help texts have neither backslashes nor line ends.
    fn one(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {PREFIX}_{name} {help}\n# TYPE {PREFIX}_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels.iter().map(|(label, text)| format!("{label}=\"{text}\"")).collect();
        let _ = match labels[..] {
            [] => writeln!(self.0, "{PREFIX}_{name} {value}"),
            _ => writeln!(self.0, "{PREFIX}_{name}{{{}}} {value}", labels.join(",")),
        };
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.one(name, Kind::Counter, help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.one(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    /// A counter for each field of `counts`, named by it; `level` is a state, and none.
    fn each(&mut self, name: &str, help: &str, label: &str, counts: &impl Serialize) {
        self.one(name, Kind::Counter, help);
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(counts) else { return };
        for (field, count) in fields.iter().filter(|(field, _)| *field != "level") {
            self.sample(name, &[(label, field)], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::tracker::TrackerStats;
    use crate::tracker::admin::Health;

    fn document() -> Document {
        let mut tracker = TrackerStats::default();
        tracker.registry.announces = 10;
        tracker.registry.announces_v6 = 3;
        tracker.registry.refused.port_0 = 2;
        tracker.http.announces = 4;
        let health = Health { ok: true, reasons: Vec::new() };
        let (udp, http_at) = (Vec::new(), Vec::new());
        Document { version: "1.2.3", uptime_s: 5, time_ms: 0, udp, http_at, health, tracker }
    }

    /// Strict: each sample belongs to the family opened last, none stands twice, names and labels are legal.
    fn parse(text: &str) -> Result<BTreeMap<String, f64>, String> {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|first: char| first.is_ascii_digit())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let (mut samples, mut families, mut open) =
            (BTreeMap::new(), BTreeSet::new(), (String::new(), String::new()));
        let mut lines = text.strip_suffix('\n').ok_or("no line end at the end")?.split('\n');
        while let Some(line) = lines.next() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
                let kind = kind.filter(|kind| ["counter", "gauge"].contains(kind)).ok_or(line)?;
                (!help.is_empty() && is_name(name) && families.insert(name.to_owned()))
                    .then_some(())
                    .ok_or(line)?;
                (name.ends_with("_total") == (kind == "counter")).then_some(()).ok_or(line)?;
                open = (name.to_owned(), kind.to_owned());
                continue;
            }
            let (series, value) = line.rsplit_once(' ').ok_or(line)?;
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').ok_or(line)?;
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (label, text) = label.split_once("=\"").ok_or(line)?;
                let text = text.strip_suffix('"').ok_or(line)?;
                (is_name(label) && !text.contains(['"', '\\'])).then_some(()).ok_or(line)?;
            }
            let value = value.parse().map_err(|_| line)?;
            let is_new = samples.insert(series.to_owned(), value).is_none();
            (name == open.0 && is_new).then_some(()).ok_or(line)?;
        }
        Ok(samples)
    }

    #[test]
    fn prometheus_can_read_it() {
        let samples = parse(&render(&document())).unwrap_or_else(|line| panic!("{line}"));
        let value = |series: &str| samples[&format!("{PREFIX}_{series}")];
        let check = |series: &str, due: u32| {
            assert_eq!(value(series).to_bits(), f64::from(due).to_bits(), "{series}");
        };
        check("build_info{version=\"1.2.3\"}", 1);
        check("requests_total{transport=\"udp\",kind=\"announce\"}", 6);
        check("requests_total{transport=\"http\",kind=\"announce\"}", 4);
        check("announces_total{family=\"ipv4\"}", 7);
        check("refused_total{reason=\"port_0\"}", 2);
        check("shed_total{measure=\"dropped\"}", 0);
    }

    #[test]
    fn the_parser_refuses_what_prometheus_would() {
        let good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
        assert!(parse(good).is_ok());
        let twice = format!("{good}a_total{{b=\"c\"}} 2\n");
        let bad = [&good[..good.len() - 1], &good.replace(" 1", " one"), &good.replace('"', ""), &twice];
        for text in bad
            .into_iter()
            .chain([&*good.replace("# TYPE a_total counter\n", ""), &good.replace("a_total{", "b{")])
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
