//! Everything that can be set: defaults, then the file of `--config`, then the command line.
//!
//! One table, [`keys::KEYS`], says of each key where it stands, what it means, how it is read and shown. The
//! parser, the flags, `--help`, `--print-config` and the reload are all made from it, so that they agree.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use engine::tracker::{AccessConfig, AdminConfig, HttpConfig, MAX_WORKERS, TrackerConfig};
use engine::transport::os::DATAGRAM_BUFFER;
use proto::registry::{AccessMode, RegistryConfig};
use settings::fields::Fields;
use settings::source::{Refusal, Source};
use thiserror::Error;
use toml::de::DeTable;

use crate::flags::Flags;
use crate::logging::{self, LogFormat};

pub(crate) mod keys;
mod lists;
mod print;
mod values;

#[cfg(test)]
mod tests;

use keys::{Effect, KEYS, Key, SECTIONS};

/// Bytes of a configuration file at the most: the whole default one has less than a tenth.
const MAX_FILE: u64 = 64 << 10;

/// Settings of a tracker; the default is a public tracker's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) bind: Vec<SocketAddr>,
    pub(crate) workers: usize,
    pub(crate) socket_buffer: usize,
    pub(crate) http: HttpConfig,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) admin_hosts: Vec<String>,
    pub(crate) db: Option<PathBuf>,
    pub(crate) registry: RegistryConfig,
    pub(crate) mode: AccessMode,
    pub(crate) is_private: bool,
    pub(crate) allow_files: Vec<PathBuf>,
    pub(crate) deny_files: Vec<PathBuf>,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
    pub(crate) stats_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: vec![SocketAddr::from(([0, 0, 0, 0], 6969))],
            workers: 1,
            socket_buffer: DATAGRAM_BUFFER,
            http: HttpConfig::default(),
            admin: None,
            admin_hosts: Vec::new(),
            db: None,
            registry: RegistryConfig::default(),
            mode: AccessMode::Deny,
            is_private: false,
            allow_files: Vec::new(),
            deny_files: Vec::new(),
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            stats_every: Duration::from_secs(60),
        }
    }
}

/// The settings cannot be used: status 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct BadSettings(pub(crate) String);

impl Settings {
    /// Defaults, then `file`, then the environment, then `flags`: the last word counts.
    pub(crate) fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, BadSettings> {
        let mut settings = Self::default();
        if let Some(path) = file {
            let text = read(path)?;
            settings.read(&path.to_string_lossy(), &text).map_err(BadSettings)?;
        }
        if let Some(level) = logging::level_of_environment() {
            settings.log_level = level;
        }
        flags.lay_over(&mut settings)?;
        Ok(settings)
    }

    /// Lays the text of `file` over these settings; the error shows the line and says what would be right.
    pub(crate) fn read(&mut self, file: &str, text: &str) -> Result<(), String> {
        let source = Source::new(file, text);
        self.decode(source.text()).map_err(|refusal| source.locate(refusal).to_string())
    }

    fn decode(&mut self, text: &str) -> Result<(), Refusal> {
        let table = DeTable::parse(text).map_err(|error| Refusal::syntax(&error))?.into_inner();
        let top = Fields::open(&table, 0..0, "the configuration", SECTIONS)?;
        for section in SECTIONS {
            let Some(value) = top.value(section) else { continue };
            let keys: Vec<&Key> = KEYS.iter().filter(|key| key.section == *section).collect();
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            let fields = Fields::of(value, &format!("[{section}]"), &names)?;
            for key in keys {
                fields.optional(key.name, |value| (key.read)(self, value))?;
            }
        }
        Ok(())
    }

    /// What the settings mean for the tracker, with the lists that they name.
    pub(crate) fn tracker(&self) -> Result<TrackerConfig, BadSettings> {
        let access = AccessConfig {
            mode: self.mode,
            is_private: self.is_private,
            allowed: lists::read(&self.allow_files)?,
            denied: lists::read(&self.deny_files)?,
        };
        let mut registry = self.registry.clone();
        // Who lowers the one need not name the other.
        registry.min_interval = registry.min_interval.min(registry.interval);
        registry.max_members = registry.max_members.min(registry.max_members_in_total);
        Ok(TrackerConfig {
            bind: self.bind.clone(),
            workers: self.threads(),
            http: self.http.clone(),
            admin: self.admin.map(|bind| AdminConfig { bind, hosts: self.admin_hosts.clone() }),
            registry,
            access,
        })
    }

    /// Threads that answer requests.
    pub(crate) fn threads(&self) -> usize {
        match self.workers {
            0 => available_parallelism().map_or(1, usize::from).min(MAX_WORKERS),
            workers => workers,
        }
    }

    /// Keys that differ from `other` and take effect only when the tracker starts.
    pub(crate) fn needing_restart(&self, other: &Self) -> Vec<String> {
        let differs = |key: &&Key| key.effect == Effect::AtStart && (key.show)(self) != (key.show)(other);
        KEYS.iter().filter(differs).map(Key::path).collect()
    }
}

fn read(path: &Path) -> Result<String, BadSettings> {
    let bad = |reason: String| BadSettings(format!("cannot read {}: {reason}", path.display()));
    let len = fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
    if len > MAX_FILE {
        return Err(bad(format!("{len} bytes are too many for a configuration")));
    }
    fs::read_to_string(path).map_err(|error| bad(error.to_string()))
}
