//! One scenario's text over another's: a file over the one that it extends, a `--set` over both.
//!
//! Tables are laid over tables, key by key; any other value takes the place of what was there. Members of [[peers]]
//! are known by their name (or by what they would be called without one), those of [[faults]] by their number.

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::fields::{Value, nearest, text, wrong};
use super::source::Refusal;

/// Keys whose table says one of several things: another choice takes the place of the former.
const CHOICES: &[&str] = &["arrival", "behaviour", "departure", "jitter", "latency", "when"];

/// Keys that stand for each other: who says one of them takes the other back.
const EITHER: &[(&str, &str)] = &[("role", "behaviour"), ("at", "when")];

/// What is laid over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// A file: its peers are merged by name, or added; its faults are added.
    File,
    /// A `--set`, which says one value. Its key's place stands for both, so that a complaint shows all of it.
    Set,
}

/// Lays `over` on top of `table`.
pub(super) fn lay<'a>(table: &mut DeTable<'a>, over: DeTable<'a>, layer: Layer) -> Result<(), Refusal> {
    for (one, other) in EITHER.iter().flat_map(|&(one, other)| [(one, other), (other, one)]) {
        if over.contains_key(one) && !over.contains_key(other) {
            table.remove(other);
        }
    }
    for (key, value) in over {
        let name = key.get_ref().clone();
        let span = value.span();
        let present = table.get_mut(name.as_ref()).map(Spanned::get_mut);
        match (present, value.into_inner()) {
            (Some(DeValue::Table(inner)), DeValue::Table(over))
                if !CHOICES.contains(&name.as_ref()) || over.keys().all(|key| inner.contains_key(key)) =>
            {
                lay(inner, over, layer)?;
            }
            (Some(DeValue::Array(members)), DeValue::Table(over)) if layer == Layer::Set => {
                set_members(members, over, &key)?;
            }
            (Some(DeValue::Array(members)), DeValue::Array(over)) if is_group(&name, layer) => {
                add_members(members, over)?;
            }
            (_, value) => {
                let span = if layer == Layer::Set { key.span() } else { span };
                table.remove(name.as_ref());
                table.insert(key, Spanned::new(span, value));
            }
        }
    }
    Ok(())
}

fn is_group(name: &str, layer: Layer) -> bool {
    layer == Layer::File && matches!(name, "peers" | "faults")
}

fn set_members<'a>(
    members: &mut DeArray<'a>,
    over: DeTable<'a>,
    array: &Spanned<DeString<'a>>,
) -> Result<(), Refusal> {
    for (key, value) in over {
        let position = position(members, key.get_ref())
            .ok_or_else(|| no_member(members, key.get_ref(), array.get_ref(), key.span()))?;
        match (members.get_mut(position).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(inner)), DeValue::Table(over)) => lay(inner, over, Layer::Set)?,
            _ => return Err(Refusal::new(key.span(), "say which of its keys to set")),
        }
    }
    Ok(())
}

fn no_member(members: &DeArray<'_>, wanted: &str, array: &str, span: std::ops::Range<usize>) -> Refusal {
    let count = members.len();
    let refusal = Refusal::new(span, format!("no `{wanted}` among the {count} of [[{array}]]"));
    let names: Vec<_> = members.iter().filter_map(called).collect();
    let near = super::quantity::suggestion(wanted, names.iter().map(String::as_str));
    refusal.hint(near.map_or_else(
        || "say its `name`, or its number from 1".to_owned(),
        |near| format!("did you mean `{near}`?"),
    ))
}

fn add_members<'a>(members: &mut DeArray<'a>, over: DeArray<'a>) -> Result<(), Refusal> {
    for member in over {
        let same = called(&member)
            .and_then(|name| members.iter().position(|other| called(other) == Some(name.clone())));
        match (same.and_then(|same| members.get_mut(same)).map(Spanned::get_mut), member) {
            (Some(DeValue::Table(inner)), member) => {
                if let DeValue::Table(over) = member.into_inner() {
                    lay(inner, over, Layer::File)?;
                }
            }
            (_, member) => members.push(member),
        }
    }
    Ok(())
}

/// What a group of peers is called: its `name`, or what it is.
fn called(member: &Value<'_>) -> Option<String> {
    let table = member.get_ref().as_table()?;
    let said = |key: &str| table.get(key).and_then(|value| value.get_ref().as_str()).map(str::to_owned);
    let settings =
        || table.get("behaviour")?.get_ref().as_table()?.keys().next().map(|key| key.get_ref().to_string());
    let what = || said("role").or_else(|| said("behaviour")).or_else(settings);
    said("name").or_else(|| what().map(|what| what.replace(' ', "-")))
}

fn position(members: &DeArray<'_>, wanted: &str) -> Option<usize> {
    members.iter().position(|member| called(member).is_some_and(|name| name == wanted)).or_else(|| {
        let number = wanted.parse::<usize>().ok()?.checked_sub(1)?;
        (number < members.len()).then_some(number)
    })
}

/// Takes what `without` names out of `table`: a list of paths such as `expect.efficiency`, `peers.visitor`, `faults.2`.
pub(super) fn take_away(table: &mut DeTable<'_>, without: &Value<'_>) -> Result<(), Refusal> {
    let due = || {
        wrong(without, "a list of what the other scenario has, such as [\"expect.efficiency\", \"faults.2\"]")
    };
    let paths = without.get_ref().as_array().ok_or_else(due)?;
    let mut paths = paths.iter().map(|path| Ok((text(path)?, path.span()))).collect::<Result<Vec<_>, _>>()?;
    // Those with high numbers first: the others keep theirs.
    let number = |path: &str| path.rsplit('.').next().and_then(|last| last.parse::<usize>().ok());
    paths.sort_by_key(|(path, _)| std::cmp::Reverse(number(path)));
    for (path, span) in paths {
        let steps: Vec<_> = path.split('.').collect();
        remove(table, &steps).map_err(|(step, known)| {
            let refusal = Refusal::new(span, format!("there is no `{step}` to be without"));
            if known.is_empty() {
                refusal
            } else {
                refusal.hint(nearest(&step, known.iter().map(String::as_str)))
            }
        })?;
    }
    Ok(())
}

/// A step of a path that leads nowhere, and those that would have.
type Astray = (String, Vec<String>);

fn remove(table: &mut DeTable<'_>, steps: &[&str]) -> Result<(), Astray> {
    let Some((first, rest)) = steps.split_first() else { return Ok(()) };
    let known = || table.keys().map(|key| key.get_ref().to_string()).collect();
    let astray = ((*first).to_owned(), known());
    match (table.get_mut(*first).map(Spanned::get_mut), rest) {
        (None, _) => Err(astray),
        (Some(_), []) => {
            table.remove(*first);
            Ok(())
        }
        (Some(DeValue::Table(inner)), rest) => remove(inner, rest),
        (Some(DeValue::Array(members)), [member, rest @ ..]) => {
            let astray = ((*member).to_owned(), members.iter().filter_map(called).collect());
            let position = position(members, member).ok_or(astray)?;
            if let (Some(DeValue::Table(inner)), [_, ..]) =
                (members.get_mut(position).map(Spanned::get_mut), rest)
            {
                return remove(inner, rest);
            }
            let all = std::mem::replace(members, DeArray::new()).into_iter().enumerate();
            all.filter(|(index, _)| *index != position).for_each(|(_, member)| members.push(member));
            Ok(())
        }
        (Some(_), [next, ..]) => Err(((*next).to_owned(), Vec::new())),
    }
}
