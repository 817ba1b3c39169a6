//! Who looks on while a run that shall leave files behind is under way: its page's chronicle, and captures of packets.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use sim::capture::{Capture, MAX_CAPTURED, places};
use sim::network::Watcher;
use sim::report::Chronicle;
use sim::run::Watching;
use sim::scenario::Plan;

type Captured = Arc<Mutex<Capture<BufWriter<File>>>>;

/// Those of one run.
pub(crate) struct Onlookers {
    chronicle: Arc<Mutex<Chronicle>>,
    /// Nothing if no host is to be captured.
    capture: Option<io::Result<Captured>>,
}

impl Onlookers {
    /// For a run of `plan`, whose files go to `folder`; `names` says whose packets are captured.
    pub(crate) fn of(plan: &Plan, names: &[String], folder: &Path) -> Self {
        // Names were looked at before anything ran.
        let places = places(plan, names).unwrap_or_default();
        let open = |name: &str| File::create(file(folder, name)).map(BufWriter::new);
        let capture = (!places.is_empty()).then(|| {
            fs::create_dir_all(folder)?;
            Ok(Arc::new(Mutex::new(Capture::new(plan, &places, open)?)))
        });
        Self { chronicle: Arc::new(Mutex::new(Chronicle::new(plan))), capture }
    }

    /// What the run has to show.
    pub(crate) fn watching(&self) -> Watching {
        let network = self.capture.as_ref().and_then(|capture| capture.as_ref().ok());
        Watching {
            network: network.map(|capture| Arc::clone(capture) as Watcher),
            messages: Some(self.chronicle.clone()),
            hosts: Some(self.chronicle.clone()),
        }
    }

    /// The run is over: captures are whole, and this is what its page shows.
    ///
    /// # Errors
    /// If packets could not be written.
    pub(crate) fn end(self) -> Result<Arc<Mutex<Chronicle>>> {
        let ended = self.capture.map_or(Ok(()), |capture| {
            capture.and_then(|capture| capture.lock().unwrap_or_else(PoisonError::into_inner).finish())
        });
        ended.context("cannot write the captured packets")?;
        Ok(self.chronicle)
    }
}

/// Where a host's packets go.
fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pcapng"))
}

/// Are there hosts of these names, and not too many of them?
///
/// # Errors
/// If not, for the user.
pub(crate) fn check(plan: &Plan, names: &[String]) -> Result<()> {
    let places = places(plan, names).map_err(|name| {
        let peers = plan.peers.iter().map(|peer| peer.name.as_str());
        let near = settings::quantity::suggestion(&name, peers);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        anyhow::anyhow!("{} has no peer or group {name}{hint}", plan.name)
    })?;
    if places.len() > MAX_CAPTURED {
        bail!("the packets of {} hosts are asked for; {MAX_CAPTURED} are possible at once", places.len());
    }
    Ok(())
}
