//! A flag for every key of the configuration, made from the same table.

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use settings::fields::Value;
use toml::de::DeTable;

use crate::config::keys::{KEYS, Key};
use crate::config::{BadSettings, Settings};

/// Keys that commands on the database need as well.
const GLOBAL: &[&str] = &["db"];

/// What the command line says about keys, in the order of the table.
#[derive(Debug, Default)]
pub(crate) struct Flags(Vec<(&'static str, Vec<String>)>);

impl Flags {
    /// Adds a flag for every key to `command`.
    pub(crate) fn define(command: Command) -> Command {
        KEYS.iter().fold(command, |command, key| command.arg(argument(key)))
    }

    /// The flags that were given.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let given =
            KEYS.iter().filter(|key| matches.value_source(key.flag) == Some(ValueSource::CommandLine));
        let values =
            |key: &Key| matches.get_many::<String>(key.flag).into_iter().flatten().cloned().collect();
        Self(given.map(|key| (key.flag, values(key))).collect())
    }

    /// Lays what was given over `settings`.
    pub(crate) fn lay_over(&self, settings: &mut Settings) -> Result<(), BadSettings> {
        for (flag, values) in &self.0 {
            for key in KEYS.iter().filter(|key| key.flag == *flag) {
                lay_over(key, values, settings)?;
            }
        }
        Ok(())
    }
}

fn argument(key: &'static Key) -> Arg {
    let default = (key.show)(&Settings::default());
    let default = match default.as_str() {
        "\"\"" | "[]" => String::new(),
        shown => format!(" [default: {}]", shown.trim_matches(['[', ']', '"'])),
    };
    Arg::new(key.flag)
        .long(key.flag)
        .value_name(key.sample)
        .help(format!("{}{default}", key.doc))
        .help_heading(key.section)
        .action(if key.is_list() { ArgAction::Append } else { ArgAction::Set })
        .global(GLOBAL.contains(&key.flag))
}

/// Reads the values as the file would have them: as they are if that is TOML of the right kind, in quotes
/// otherwise.
fn lay_over(key: &Key, values: &[String], settings: &mut Settings) -> Result<(), BadSettings> {
    let quoted: Vec<String> =
        values.iter().map(|value| toml::Value::String(value.clone()).to_string()).collect();
    if key.is_list() {
        return read(key, &format!("[{}]", quoted.join(", ")), settings);
    }
    let bare = values.first().map_or("", String::as_str);
    let is_bare = matches!(bare, "true" | "false") || bare.parse::<u64>().is_ok();
    read(key, if is_bare { bare } else { quoted.first().map_or("\"\"", String::as_str) }, settings)
}

fn read(key: &Key, value: &str, settings: &mut Settings) -> Result<(), BadSettings> {
    let bad = |reason: String| BadSettings(format!("--{}: {reason}", key.flag));
    let line = format!("value = {value}");
    let table = DeTable::parse(&line).map_err(|error| bad(error.message().to_owned()))?.into_inner();
    let value: &Value<'_> = table.get("value").ok_or_else(|| bad("no value".to_owned()))?;
    (key.read)(settings, value).map_err(|refusal| {
        bad(refusal.hint.map_or(refusal.message.clone(), |hint| format!("{}; {hint}", refusal.message)))
    })
}
