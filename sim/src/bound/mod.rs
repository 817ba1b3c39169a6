//! How fast a swarm could possibly be: lower bounds on completion times, to compare measurements with.
//!
//! All of them see a swarm as a fluid: capacities, content, and who may upload when. Latency, headers,
//! requests and strategy only make a real swarm slower, so a time below a bound means that the simulator
//! cheats. Capacities are in bytes a second, times in seconds from the start of the run.
//!
//! * **B1** (Kumar & Ross, "Peer-Assisted File Distribution", 2006): seeder, slowest download, total upload.
//! * **B3** (ours): the last piece that leaves the seeder still has to spread to everybody.
//! * **B4** (ours): nobody uploads before it holds a whole piece. **B4a**: nor before it has arrived.
//! * **B5** (ours): B4 for the k-th to finish.
//! * **B6** (ours): with departures, only those present upload.
//! * **B7** (ours): two peers of whom neither can be dialled never meet, so those who cannot be are served by the
//!   others alone.
//!
//! All remain bounds if some leechers go without completing: then `finishers` counts those who did complete,
//! and everybody's upload still helps.

use std::fmt;

mod curve;
pub mod reference;

#[cfg(test)]
mod tests;

pub use curve::Supply;

/// One leecher that starts with nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leecher {
    /// Bytes a second.
    pub up: f64,
    /// Bytes a second.
    pub down: f64,
    /// When it came.
    pub arrival: f64,
    /// When it left for good; infinite if it stayed.
    pub departure: f64,
    /// Did it, or should it, get everything?
    pub finishes: bool,
    /// Can it be dialled?
    pub open: bool,
}

/// A swarm as the bounds see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Swarm {
    /// Bytes of content.
    pub content: f64,
    /// Bytes of the shortest piece: with the usual piece length the bounds would be wrong for a torrent whose
    /// last piece is shorter.
    pub piece: f64,
    /// What all seeders upload together, in bytes a second.
    pub seed_up: f64,
    /// The same of those seeders that can be dialled.
    pub open_seed_up: f64,
    /// The leechers.
    pub leechers: Vec<Leecher>,
}

/// A lower bound, and what sets it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Seconds from the start of the run.
    pub seconds: f64,
    /// The largest term.
    pub term: Term,
}

/// What can bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// B1: every byte leaves the seeders once.
    Seed,
    /// B1: the slowest (or last to arrive) download.
    Download,
    /// B1: all uploads together.
    Upload,
    /// B3: the last piece has to spread.
    LastPiece,
    /// B4 or B4a: uploads begin as pieces and peers come in.
    StartUp,
    /// B6: uploads of those present.
    Presence,
    /// B7: uploads of those who can be dialled, to those who cannot.
    Reach,
}

impl Term {
    /// Its name in the list above.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seed | Self::Download | Self::Upload => "B1",
            Self::LastPiece => "B3",
            Self::StartUp => "B4a",
            Self::Presence => "B6",
            Self::Reach => "B7",
        }
    }

    /// What it means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Seed => "the seeder's upload",
            Self::Download => "the slowest download",
            Self::Upload => "all uploads together",
            Self::LastPiece => "the last piece's way to everybody",
            Self::StartUp => "all uploads, as peers and first pieces come in",
            Self::Presence => "the uploads of those present",
            Self::Reach => "the uploads of the open, which alone serve those behind NAT",
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.meaning(), self.name())
    }
}

impl Swarm {
    /// The bound on the last completion: the largest of all terms. Nothing if nobody finishes.
    pub fn bound(&self) -> Option<Bound> {
        let supply = Supply::of(self);
        let finishers = self.finishers();
        let terms = [
            (Term::Seed, self.seed_time()),
            (Term::Download, self.download_time()),
            (Term::Upload, self.upload_time()),
            (Term::LastPiece, self.last_piece_time()),
            (Term::StartUp, supply.time_of(finishers as f64 * self.content)),
            (Term::Presence, self.presence_time()),
            (Term::Reach, self.reach_time()),
        ];
        let bounds = terms.into_iter().map(|(term, seconds)| Bound { seconds, term });
        // On a tie the simpler explanation, which comes first, is the better one.
        bounds
            .filter(|_| finishers > 0)
            .reduce(|best, next| if next.seconds > best.seconds { next } else { best })
    }

    /// B5: no `k`-th completion (from 1) can come before this; `supply` is [`Supply::of`] this swarm.
    pub fn kth_completion(&self, k: usize, supply: &Supply) -> f64 {
        // The k fastest downloads among the finishers: at best these are the first to finish.
        let mut downs: Vec<_> = self.finishing().map(|leecher| leecher.down).collect();
        downs.sort_by(|a, b| b.total_cmp(a));
        let down =
            k.checked_sub(1).and_then(|index| downs.get(index)).map_or(0.0, |down| self.content / down);
        self.seed_time().max(down).max(supply.time_of(k as f64 * self.content))
    }

    /// Leechers that get everything.
    pub fn finishers(&self) -> usize {
        self.finishing().count()
    }

    fn finishing(&self) -> impl Iterator<Item = &Leecher> {
        self.leechers.iter().filter(|leecher| leecher.finishes)
    }

    /// B1: `F / u_S`.
    fn seed_time(&self) -> f64 {
        self.content / self.seed_up
    }

    /// B1 with arrivals: `max (a_i + F / d_i)`.
    fn download_time(&self) -> f64 {
        self.finishing().map(|leecher| leecher.arrival + self.content / leecher.down).fold(0.0, f64::max)
    }

    /// B1: `N F / (u_S + sum of u_i)`.
    fn upload_time(&self) -> f64 {
        let total: f64 = self.leechers.iter().map(|leecher| leecher.up).sum();
        self.finishers() as f64 * self.content / (self.seed_up + total)
    }

    /// B3: `F / u_S + sum over n = 1..N-1 of p / (u_S + U_n)`.
    ///
    /// When every piece has left the seeders once, the last of them has one holder; each further copy takes
    /// at least the time of one piece at the rate of all that may hold it, at best the fastest uploaders.
    fn last_piece_time(&self) -> f64 {
        let mut rate = self.seed_up;
        let copies = self.uploads().into_iter().take(self.finishers().saturating_sub(1));
        let spread = copies.map(|up| {
            rate += up;
            self.piece / rate
        });
        self.seed_time() + spread.sum::<f64>()
    }

    /// B6: the earliest t with `N F <= integral of (u_S + sum of u_i present)`.
    fn presence_time(&self) -> f64 {
        let mut steps: Vec<_> = self.leechers.iter().map(|leecher| (leecher.arrival, leecher.up)).collect();
        let leaving = self.leechers.iter().filter(|leecher| leecher.departure.is_finite());
        steps.extend(leaving.map(|leecher| (leecher.departure.max(leecher.arrival), -leecher.up)));
        Supply::from_steps(self.seed_up, steps).time_of(self.finishers() as f64 * self.content)
    }

    /// B7: the earliest t with `N_c F <= u_So t + sum of u_i max(0, t - a_i)`, over `N_c` finishers that cannot be
    /// dialled, seeders and leechers that can be. (Departures are left out, which only makes it lower.)
    fn reach_time(&self) -> f64 {
        let closed = self.finishing().filter(|leecher| !leecher.open).count();
        let open = self.leechers.iter().filter(|leecher| leecher.open);
        let steps = open.map(|leecher| (leecher.arrival, leecher.up)).collect();
        Supply::from_steps(self.open_seed_up, steps).time_of(closed as f64 * self.content)
    }

    /// All uploads, the largest first.
    fn uploads(&self) -> Vec<f64> {
        let mut uploads: Vec<_> = self.leechers.iter().map(|leecher| leecher.up).collect();
        uploads.sort_by(|a, b| b.total_cmp(a));
        uploads
    }
}

/// How close to the bound a swarm came: 1 is perfect.
pub fn efficiency(bound: f64, makespan: f64) -> f64 {
    bound / makespan
}
