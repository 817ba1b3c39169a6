//! `--set key=value`: one value of a scenario, replaced from the command line.
//!
//! The key is a TOML path (`torrent.size`, `links.adsl.loss`); members of [[peers]] and [[faults]] are named
//! by their `name` or their number from 1 (`peers.leecher.count`, `faults.1.at`).

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::source::Refusal;

/// The TOML line that `set` means: a value that a shell has stripped of its quotes gets them back.
pub(super) fn as_toml(set: &str) -> String {
    let set = set.replace('\n', " ");
    match set.split_once('=') {
        Some((key, value)) if DeTable::parse(&set).is_err() => {
            let quoted = format!("{key}={:?}", value.trim());
            if DeTable::parse(&quoted).is_ok() { quoted } else { set }
        }
        Some(_) | None => set,
    }
}

/// Lays `over` on top of `table`.
pub(super) fn merge<'a>(table: &mut DeTable<'a>, over: DeTable<'a>) -> Result<(), Refusal> {
    for (key, value) in over {
        match (table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(inner)), DeValue::Table(over)) => merge(inner, over)?,
            (Some(DeValue::Array(members)), DeValue::Table(over)) => merge_members(members, over, &key)?,
            (_, value) => {
                // The key's place stands for both, so that a complaint shows the whole --set.
                let span = key.span();
                table.remove(key.get_ref().as_ref());
                table.insert(key, Spanned::new(span, value));
            }
        }
    }
    Ok(())
}

fn merge_members<'a>(
    members: &mut DeArray<'a>,
    over: DeTable<'a>,
    array: &Spanned<DeString<'a>>,
) -> Result<(), Refusal> {
    for (key, value) in over {
        let position = position(members, key.get_ref()).ok_or_else(|| {
            let count = members.len();
            let message = format!("no `{}` among the {count} of [[{}]]", key.get_ref(), array.get_ref());
            Refusal::new(key.span(), message).hint("say its `name`, or its number from 1")
        })?;
        match (members.get_mut(position).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(inner)), DeValue::Table(over)) => merge(inner, over)?,
            _ => return Err(Refusal::new(key.span(), "say which of its keys to set")),
        }
    }
    Ok(())
}

fn position(members: &DeArray<'_>, wanted: &str) -> Option<usize> {
    let name = |member: &Spanned<DeValue<'_>>| {
        let name = member.get_ref().as_table()?.get("name")?;
        Some(name.get_ref().as_str()? == wanted)
    };
    members.iter().position(|member| name(member) == Some(true)).or_else(|| {
        let number = wanted.parse::<usize>().ok()?.checked_sub(1)?;
        (number < members.len()).then_some(number)
    })
}
