//! What a probe found, for a person and for a program.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;
use thiserror::Error;

/// What a tracker answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeReport {
    /// The tracker.
    pub url: String,
    /// The address that answered.
    pub addr: SocketAddr,
    /// The torrent that was asked about.
    pub info_hash: String,
    /// Connect (UDP), announce and scrape, in this order.
    pub steps: Vec<Step>,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// `connect`, `announce` or `scrape`.
    pub name: &'static str,
    /// Milliseconds from the last try to the answer; nothing if none came.
    pub millis: Option<f64>,
    /// How often it was asked.
    pub tries: u32,
    /// What came back.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// A connection id.
    Connected,
    /// Counts of the swarm.
    Announced {
        /// Seconds until the next announce.
        interval: u32,
        /// Peers that have everything.
        seeders: u32,
        /// Peers that still download.
        leechers: u32,
        /// Addresses in the reply.
        peers: usize,
    },
    /// Counts of the swarm.
    Scraped {
        /// Peers that have everything.
        seeders: u32,
        /// Downloads that ever ended.
        completed: u32,
        /// Peers that still download.
        leechers: u32,
    },
    /// The tracker said no.
    Refused {
        /// Why, safe to print.
        message: String,
    },
    /// Something that is no answer to the question.
    Unexpected,
    /// Nothing.
    Silence,
}

/// Why there is nothing to report.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// The name has no address.
    #[error("cannot find {host}: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// No socket for it.
    #[error("cannot send to {addr}: {reason}")]
    Socket {
        /// The target.
        addr: SocketAddr,
        /// The system's words.
        reason: String,
    },
    /// Nothing came back.
    #[error("{url} does not answer (asked {tries} times at {addr})")]
    Unreachable {
        /// The tracker.
        url: String,
        /// The last address tried.
        addr: SocketAddr,
        /// How often it was asked.
        tries: u32,
    },
    /// UDP and HTTP trackers have rules of their own.
    #[error(
        "{url} is not judged by {id}: rules of http:// and https:// trackers begin with `http.`, all others are for udp://"
    )]
    OtherRule {
        /// The tracker.
        url: String,
        /// The rule that was called for.
        id: String,
    },
    /// It answers, and will not have us.
    #[error("{url} refuses: {reason}")]
    Refused {
        /// The tracker.
        url: String,
        /// The tracker's words, safe to print.
        reason: String,
    },
}

impl ProbeReport {
    /// Every question got its answer.
    pub fn is_healthy(&self) -> bool {
        self.steps.iter().all(|step| match step.answer {
            Answer::Connected | Answer::Announced { .. } | Answer::Scraped { .. } => true,
            Answer::Refused { .. } | Answer::Unexpected | Answer::Silence => false,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("ok"),
            Self::Announced { interval, seeders, leechers, peers } => {
                write!(
                    f,
                    "interval {interval} s, seeders {seeders}, leechers {leechers}, {peers} peers named"
                )
            }
            Self::Scraped { seeders, completed, leechers } => {
                write!(f, "seeders {seeders}, leechers {leechers}, completed {completed}")
            }
            Self::Refused { message } => write!(f, "refused: {message}"),
            Self::Unexpected => f.write_str("an answer to something else"),
            Self::Silence => f.write_str("no answer"),
        }
    }
}

impl fmt::Display for ProbeReport {
    /// A table for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.url, self.addr)?;
        writeln!(f, "info hash {}\n", self.info_hash)?;
        writeln!(f, "question   tries      time   answer")?;
        for step in &self.steps {
            let time = step.millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis:.1} ms"));
            writeln!(f, "{:<8} {:>7} {time:>9}   {}", step.name, step.tries, step.answer)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::id::InfoHash;

    use super::*;

    #[test]
    fn the_table_reads_well() {
        let step = |name, millis, tries, answer| Step { name, millis, tries, answer };
        let report = ProbeReport {
            url: "udp://tracker.example.org:1337/announce".to_owned(),
            addr: SocketAddr::from(([192, 0, 2, 1], 1337)),
            info_hash: InfoHash([0xab; 20]).to_string(),
            steps: vec![
                step("connect", Some(18.24), 1, Answer::Connected),
                step(
                    "announce",
                    Some(1018.0),
                    2,
                    Answer::Announced { interval: 1800, seeders: 3, leechers: 1, peers: 3 },
                ),
                step("scrape", None, 3, Answer::Silence),
            ],
        };
        insta::assert_snapshot!(report.to_string());
        insta::assert_snapshot!(serde_json::to_string_pretty(&report).expect("JSON"));
        assert!(!report.is_healthy());
    }
}
