//! Defects of whoever is to fetch but some of the files.

use engine::EngineConfig;
use proto::metainfo::Priority;

use super::Defect;

/// Fetches every file, whatever it was told to.
#[derive(Debug, Default)]
pub struct TakesEverything;

impl Defect for TakesEverything {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.priorities.clear();
    }
}

/// Leaves out the first half of the files, whatever it was told to, and takes that for all.
#[derive(Debug, Default)]
pub struct LeavesOut;

impl Defect for LeavesOut {
    fn configures(&mut self, config: &mut EngineConfig) {
        let wanted = config.priorities.iter().filter(|&&priority| priority != Priority::Skip).count();
        for priority in config.priorities.iter_mut().take(wanted / 2) {
            *priority = Priority::Skip;
        }
    }
}
