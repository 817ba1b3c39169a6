//! What befalls the peers of a core swarm.

use std::time::Duration;

use proto::torrent::Input;

use super::event::What;
use super::plan::FaultKind;
use super::world::World;

impl World<'_> {
    /// The time has come for the fault at this place of the plan.
    pub(super) fn befall(&mut self, place: usize) {
        let Some(fault) = self.plan.faults.get(place) else { return };
        let host = self.places.get(&fault.peer).copied();
        let until = self.now + Duration::from_millis(fault.kind.span());
        if let FaultKind::TrackerDown(_) = fault.kind {
            self.tracker.down_until = until;
        } else if fault.kind == FaultKind::TrackerForgets {
            self.tracker.forget(self.plan, self.now);
        } else if let Some(host) = host {
            self.ears.note(self.now, host, || format!("fault: {:?}", fault.kind));
            self.befall_host(host, &fault.kind, until);
        }
    }

    fn befall_host(&mut self, host: usize, kind: &FaultKind, until: proto::time::Instant) {
        match kind {
            FaultKind::Crash(_) | FaultKind::PowerCut(_) if self.hosts[host].life.is_some() => {
                self.end(host);
                self.hosts[host].believes = matches!(kind, FaultKind::PowerCut(_));
                if self.hosts[host].believes {
                    self.hosts[host].disk.power_cut();
                }
                self.agenda.schedule(until, What::Starts(host));
            }
            FaultKind::Vanish => {
                if self.hosts[host].life.is_some() {
                    self.end(host);
                }
                self.hosts[host].is_gone = true;
            }
            FaultKind::Stop => {
                let never_came = self.hosts[host].life.is_none();
                self.hosts[host].is_gone |= never_came;
                self.feed(host, Input::Stop);
            }
            FaultKind::Cut => {
                for end in self.lines.of(host) {
                    self.closed(end);
                }
            }
            FaultKind::Dark(_) => self.hosts[host].dark_until = until,
            FaultKind::DiskFull(_) => self.hosts[host].full_until = until,
            FaultKind::Rot(pieces) => self.rot(host, pieces),
            FaultKind::Choose(skips) => {
                self.hosts[host].skips.clone_from(skips);
                self.choose(host);
            }
            FaultKind::Slots(slots) => self.feed(host, Input::UploadSlots(*slots)),
            FaultKind::Part => self.feed(host, Input::Part),
            // Whoever does not run cannot crash; the tracker has had its turn.
            FaultKind::Crash(_)
            | FaultKind::PowerCut(_)
            | FaultKind::TrackerDown(_)
            | FaultKind::TrackerForgets => {}
        }
    }

    fn rot(&mut self, host: usize, pieces: &[u32]) {
        let geometry = self.content.geometry;
        let rotten: Vec<_> = pieces.iter().filter_map(|&piece| geometry.piece(piece)).collect();
        let here = &mut self.hosts[host];
        here.rots = true;
        for &piece in &rotten {
            here.disk.rot(&self.content, piece);
        }
        self.feed(host, Input::Doubt(rotten));
    }
}
