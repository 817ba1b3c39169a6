//! The rules by name, each with where it stands.

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`source` says what each is")]
pub enum Rule {
    Syntax,
    Itself,
    Summary,
    FastAgreed,
    ChokedRequest,
    Range,
    Held,
    Outstanding,
    Asked,
    Answered,
    Cancelled,
    HaveAfterHash,
    HavesTold,
    Interest,
    ChokePace,
    KeepAlive,
    ExtensionId,
    GossipPace,
    GossipSize,
    Private,
    Started,
    CompletedOnce,
    Stopped,
    Interval,
    Left,
    Counters,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Syntax,
        Self::Itself,
        Self::Summary,
        Self::FastAgreed,
        Self::ChokedRequest,
        Self::Range,
        Self::Held,
        Self::Outstanding,
        Self::Asked,
        Self::Answered,
        Self::Cancelled,
        Self::HaveAfterHash,
        Self::HavesTold,
        Self::Interest,
        Self::ChokePace,
        Self::KeepAlive,
        Self::ExtensionId,
        Self::GossipPace,
        Self::GossipSize,
        Self::Private,
        Self::Started,
        Self::CompletedOnce,
        Self::Stopped,
        Self::Interval,
        Self::Left,
        Self::Counters,
    ];

    const fn entry(self) -> (&'static str, &'static str) {
        match self {
            Self::Syntax => ("syntax", "BEP 3: messages have the length that their kind has"),
            Self::Itself => ("itself", "BEP 3: whoever meets its own peer id says no more"),
            Self::Summary => ("summary", "BEP 3, 6: bitfield, have all or have none, once and first"),
            Self::FastAgreed => ("fast-agreed", "BEP 6: its messages only if both sides set the bit"),
            Self::ChokedRequest => {
                ("choked-request", "BEP 3, 6: no request while choked, but for allowed pieces")
            }
            Self::Range => ("range", "BEP 3: a request lies within its piece and asks for 16 KiB at most"),
            Self::Held => ("held", "BEP 3: only what the other side has is asked for"),
            Self::Outstanding => {
                ("outstanding", "BEP 10: no more requests than `reqq`, 250 unless it says so")
            }
            Self::Asked => ("asked", "BEP 3, 6: nothing is sent or rejected that was not asked for"),
            Self::Answered => ("answered", "BEP 6: one answer to each request; rejects have a cause"),
            Self::Cancelled => ("cancelled", "BEP 3: what came from elsewhere is taken back"),
            Self::HaveAfterHash => ("have-after-hash", "BEP 3: `have` once the hash was checked"),
            Self::HavesTold => ("haves-told", "BEP 3: a new piece is told to whoever lacks it"),
            Self::Interest => ("interest", "BEP 3: interest is kept up to date at all times"),
            Self::ChokePace => ("choke-pace", "BEP 3: no fibrillation"),
            Self::KeepAlive => ("keep-alive", "BEP 3: something is said within two minutes"),
            Self::ExtensionId => ("extension-id", "BEP 10: ids are those that the receiver gave"),
            Self::GossipPace => ("gossip-pace", "BEP 11: at most one message a minute"),
            Self::GossipSize => ("gossip-size", "BEP 11: at most 50 added and 50 dropped"),
            Self::Private => ("private", "BEP 27: no peer exchange, no metadata of a private torrent"),
            Self::Started => ("started", "BEP 3: the first announce says `started`"),
            Self::CompletedOnce => ("completed-once", "BEP 3: `completed` once, by whoever completed"),
            Self::Stopped => ("stopped", "BEP 3: whoever leaves says `stopped`, and nothing after"),
            Self::Interval => ("interval", "BEP 3, 15: no regular announce before the interval is over"),
            Self::Left => ("left", "BEP 3: `left` is what is still to come"),
            Self::Counters => ("counters", "BEP 3: `uploaded` and `downloaded` are what was since `started`"),
        }
    }

    /// Its name, for `--json`.
    pub const fn name(self) -> &'static str {
        self.entry().0
    }

    /// Where it stands, and what it says.
    pub const fn source(self) -> &'static str {
        self.entry().1
    }
}
