//! How each kind of value is read from TOML and shown as TOML.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use engine::tracker::{AdminConfig, MAX_SOCKETS};
use ipnet::IpNet;
use proto::registry::AccessMode;
use settings::fields::{Value, duration, nearest, size, text, whole, word, wrong};
use settings::quantity::{duration_text, size_text};
use settings::source::Refusal;
use tracing_subscriber::EnvFilter;

use crate::logging::LogFormat;

/// The words for [`AccessMode`].
const MODES: &[(&str, AccessMode)] =
    &[("open", AccessMode::Open), ("deny", AccessMode::Deny), ("allow", AccessMode::Allow)];

/// Values of one list at the most.
const MAX_NAMES: usize = 64;

/// Levels of the log.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// The words for [`LogFormat`].
const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// A value that can stand in the file.
pub(super) trait Shown {
    /// As TOML that reads back as the same value.
    fn show(&self) -> String;
}

impl Shown for usize {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Shown for bool {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Shown for String {
    fn show(&self) -> String {
        quoted(self)
    }
}

impl Shown for Duration {
    fn show(&self) -> String {
        quoted(&duration_text(*self))
    }
}

impl Shown for SocketAddr {
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Shown for IpNet {
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Shown for PathBuf {
    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Shown::show).collect::<Vec<_>>().join(", "))
    }
}

impl Shown for Option<SocketAddr> {
    fn show(&self) -> String {
        quoted(&self.map(|addr| addr.to_string()).unwrap_or_default())
    }
}

impl Shown for Option<PathBuf> {
    fn show(&self) -> String {
        quoted(&self.as_ref().map(|path| path.to_string_lossy()).unwrap_or_default())
    }
}

impl Shown for AccessMode {
    fn show(&self) -> String {
        shown_word(self, MODES)
    }
}

impl Shown for LogFormat {
    fn show(&self) -> String {
        shown_word(self, LOG_FORMATS)
    }
}

fn shown_word<T: PartialEq>(value: &T, words: &[(&str, T)]) -> String {
    quoted(words.iter().find(|(_, meaning)| meaning == value).map_or("", |(word, _)| word))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A count between `MIN` and `MAX`.
pub(super) fn count<const MIN: usize, const MAX: usize>(value: &Value<'_>) -> Result<usize, Refusal> {
    let number = whole(value)?;
    let within = usize::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
    within.ok_or_else(|| Refusal::new(value.span(), format!("{number} is not within {MIN} to {MAX}")))
}

/// A time between `MIN` and `MAX` seconds; a bare number means seconds.
pub(super) fn time<const MIN: u64, const MAX: u64>(value: &Value<'_>) -> Result<Duration, Refusal> {
    let time =
        if value.get_ref().is_integer() { Duration::from_secs(whole(value)?) } else { duration(value)? };
    if (Duration::from_secs(MIN)..=Duration::from_secs(MAX)).contains(&time) {
        return Ok(time);
    }
    let [least, most] = [MIN, MAX].map(|seconds| duration_text(Duration::from_secs(seconds)));
    Err(Refusal::new(value.span(), format!("{} is not within {least} to {most}", duration_text(time))))
}

/// Addresses to listen at.
pub(super) fn addresses(value: &Value<'_>) -> Result<Vec<SocketAddr>, Refusal> {
    let addresses = addresses_or_none(value)?;
    if addresses.is_empty() {
        Err(Refusal::new(value.span(), "at least one address is needed"))
    } else {
        Ok(addresses)
    }
}

/// Addresses to listen at, if any.
pub(super) fn addresses_or_none(value: &Value<'_>) -> Result<Vec<SocketAddr>, Refusal> {
    list(value, "addresses such as [\"0.0.0.0:6969\", \"[::]:6969\"]", MAX_SOCKETS, address)
}

/// Where the admin port is, if anywhere.
pub(super) fn admin(value: &Value<'_>) -> Result<Option<SocketAddr>, Refusal> {
    let text = if value.get_ref().is_integer() { whole(value)?.to_string() } else { text(value)? };
    let bind = |text: &str| text.parse().map(|config: AdminConfig| config.bind);
    let bind = Some(text.as_str()).filter(|text| !text.is_empty()).map(bind).transpose();
    bind.map_err(|error| Refusal::new(value.span(), error.to_string()))
}

/// Names of hosts.
pub(super) fn names(value: &Value<'_>) -> Result<Vec<String>, Refusal> {
    list(value, "names", MAX_NAMES, text)
}

/// Networks; an address alone is one.
pub(super) fn networks(value: &Value<'_>) -> Result<Vec<IpNet>, Refusal> {
    list(value, "networks such as [\"10.0.0.0/8\", \"::1\"]", MAX_NAMES, |value| {
        let text = text(value)?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network
            .map_err(|_| Refusal::new(value.span(), format!("`{text}` is neither an address nor a network")))
    })
}

/// A list of at most `most` values.
fn list<T>(
    value: &Value<'_>,
    of: &str,
    most: usize,
    read: impl Fn(&Value<'_>) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    let array = value.get_ref().as_array().ok_or_else(|| wrong(value, &format!("a list of {of}")))?;
    if array.len() > most {
        return Err(Refusal::new(
            value.span(),
            format!("{} values, where at most {most} may be", array.len()),
        ));
    }
    array.iter().map(read).collect()
}

fn address(value: &Value<'_>) -> Result<SocketAddr, Refusal> {
    let text = text(value)?;
    text.parse().map_err(|_| {
        let refusal = Refusal::new(value.span(), format!("`{text}` is not an address with a port"));
        refusal.hint("write for example \"0.0.0.0:6969\" or \"[::1]:6969\"")
    })
}

/// A file, or `""` for none.
pub(super) fn file(value: &Value<'_>) -> Result<Option<PathBuf>, Refusal> {
    Ok(Some(text(value)?).filter(|text| !text.is_empty()).map(PathBuf::from))
}

/// Files, each with a name.
pub(super) fn files(value: &Value<'_>) -> Result<Vec<PathBuf>, Refusal> {
    let named =
        |value: &Value<'_>| file(value)?.ok_or_else(|| Refusal::new(value.span(), "a file needs a name"));
    list(value, "files", MAX_NAMES, named)
}

/// True or false.
pub(super) fn flag(value: &Value<'_>) -> Result<bool, Refusal> {
    value.get_ref().as_bool().ok_or_else(|| wrong(value, "true or false"))
}

/// A number of bytes.
pub(super) fn bytes(value: &Value<'_>) -> Result<usize, Refusal> {
    usize::try_from(size(value)?)
        .map_err(|_| Refusal::new(value.span(), "more than this machine can address"))
}

/// A number of bytes as [`bytes()`] reads it back.
pub(super) fn bytes_text(bytes: usize) -> String {
    quoted(&size_text(bytes as u64))
}

/// Which torrents are tracked.
pub(super) fn mode(value: &Value<'_>) -> Result<AccessMode, Refusal> {
    word(value, MODES)
}

/// What to log: a level, or directives as `tracing` has them (`info,engine=debug`).
pub(super) fn level(value: &Value<'_>) -> Result<String, Refusal> {
    let text = text(value)?;
    for directive in text.split(',').map(str::trim) {
        // A bare word that is no level would be taken for the name of a module.
        if !directive.contains('=') && !LEVELS.contains(&directive.to_lowercase().as_str()) {
            let refusal = Refusal::new(value.span(), format!("`{directive}` is not a level"));
            return Err(refusal.hint(nearest(directive, LEVELS.iter().copied())));
        }
    }
    EnvFilter::try_new(&text).map_err(|error| Refusal::new(value.span(), error.to_string()))?;
    Ok(text)
}

/// The shape of a log line.
pub(super) fn log_format(value: &Value<'_>) -> Result<LogFormat, Refusal> {
    word(value, LOG_FORMATS)
}
