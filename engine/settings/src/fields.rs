//! Typed reading of TOML tables that refuses what it does not know.
//!
//! serde's derive would name an unknown key too, but not the key that was meant, and it could not say what
//! a duration should have looked like.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::quantity::{self, Complaint, Kind, suggestion};
use crate::source::Refusal;

/// A value and where it stands.
pub type Value<'a> = Spanned<DeValue<'a>>;

/// A key that a table may have.
pub trait Known: AsRef<str> {
    /// A value for who has left it out and must not, as TOML.
    fn example(&self) -> Option<&'static str> {
        None
    }
}

impl Known for &str {}

/// One table whose keys have been checked.
pub struct Fields<'a> {
    table: &'a DeTable<'a>,
    span: Range<usize>,
    place: String,
    known: Vec<(&'a str, Option<&'static str>)>,
}

impl<'a> Fields<'a> {
    /// Opens the table at `place` (as the user would name it), whose keys may be `known`.
    pub fn open(
        table: &'a DeTable<'a>,
        span: Range<usize>,
        place: &str,
        known: &'a [impl Known],
    ) -> Result<Self, Refusal> {
        let known: Vec<_> = known.iter().map(|key| (key.as_ref(), key.example())).collect();
        let names = || known.iter().map(|(name, _)| *name);
        let unknown = table.keys().filter(|key| !names().any(|name| name == key.get_ref().as_ref()));
        if let Some(key) = unknown.min_by_key(|key| key.span().start) {
            let refusal = Refusal::new(key.span(), format!("unknown key `{}` in {place}", key.get_ref()));
            return Err(refusal.hint(match suggestion(key.get_ref(), names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{place} may have: {}", names().collect::<Vec<_>>().join(", ")),
            }));
        }
        Ok(Self { table, span, place: place.to_owned(), known })
    }

    /// As [`Fields::open`], for a value that should be a table.
    pub fn of(value: &'a Value<'a>, place: &str, known: &'a [impl Known]) -> Result<Self, Refusal> {
        let table = value.get_ref().as_table().ok_or_else(|| wrong(value, &format!("a table ({place})")))?;
        Self::open(table, value.span(), place, known)
    }

    /// Where this table stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of `key`.
    pub fn value(&self, key: &str) -> Option<&'a Value<'a>> {
        debug_assert!(
            self.known.iter().any(|(name, _)| *name == key),
            "{key} must be among the known keys of {}",
            self.place
        );
        self.table.get(key)
    }

    /// Reads `key` if it is there.
    pub fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value<'a>) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        self.value(key).map(read).transpose()
    }

    /// Reads `key`, which must be there.
    pub fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value<'a>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.optional(key, read)?.ok_or_else(|| {
            let refusal = Refusal::new(self.span.clone(), format!("{} lacks its `{key}`", self.place));
            match self.known.iter().find(|(name, _)| *name == key) {
                Some((_, Some(example))) => refusal.hint(format!("write for example: {key} = {example}")),
                Some((_, None)) | None => refusal,
            }
        })
    }

    /// The one of `choices` that it has.
    pub fn only<'c>(&self, choices: &[&'c str]) -> Result<&'c str, Refusal> {
        let present: Vec<_> = choices.iter().copied().filter(|choice| self.value(choice).is_some()).collect();
        if let [choice] = present[..] {
            return Ok(choice);
        }
        let refusal =
            Refusal::new(self.span(), format!("{} needs exactly one of: {}", self.place, choices.join(", ")));
        Err(if present.is_empty() {
            refusal
        } else {
            refusal.hint(format!("it has {}", present.join(" and ")))
        })
    }

    /// The tables of the array `key`, each with its number from 1; none if the key is not there.
    pub fn tables(&self, key: &str) -> Result<Vec<&'a Value<'a>>, Refusal> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let array =
            value.get_ref().as_array().ok_or_else(|| wrong(value, &format!("written as [[{key}]]")))?;
        Ok(array.iter().collect())
    }
}

/// Complains that a value is not what is due there.
pub fn wrong(value: &Value<'_>, due: &str) -> Refusal {
    let kind = value.get_ref().type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    Refusal::new(value.span(), format!("{article} {kind}, where the value must be {due}"))
}

/// Reads a text.
pub fn text(value: &Value<'_>) -> Result<String, Refusal> {
    value.get_ref().as_str().map(str::to_owned).ok_or_else(|| wrong(value, "a text in quotes"))
}

/// Reads a yes or no.
pub fn truth(value: &Value<'_>) -> Result<bool, Refusal> {
    value
        .get_ref()
        .as_bool()
        .ok_or_else(|| bare(value, wrong(value, "true or false"), |text| text.parse::<bool>().ok()))
}

/// Adds to `refusal` that the quotes are too much, if what stands in them is right.
fn bare<T: std::fmt::Display>(
    value: &Value<'_>,
    refusal: Refusal,
    read: impl Fn(&str) -> Option<T>,
) -> Refusal {
    match value.get_ref().as_str().and_then(|text| read(text.trim())) {
        Some(meant) => refusal.hint(format!("write {meant}, without quotes")),
        None => refusal,
    }
}

/// The number as it was written, if it is one.
pub fn written(value: &Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Integer(_)
        | DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

/// Reads a whole number that is not negative.
pub fn whole(value: &Value<'_>) -> Result<u64, Refusal> {
    let number = value.get_ref().as_integer();
    let number = number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
    number.ok_or_else(|| {
        let refusal = match written(value) {
            Some(number) => {
                Refusal::new(value.span(), format!("{number} is not a whole number, zero or more"))
            }
            None => wrong(value, "a whole number, zero or more"),
        };
        bare(value, refusal, |text| text.parse::<u64>().ok())
    })
}

/// Reads a whole number within `range`.
pub fn within(value: &Value<'_>, range: std::ops::RangeInclusive<u32>) -> Result<u32, Refusal> {
    let number = whole(value)?;
    u32::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(|| {
        Refusal::new(value.span(), format!("{number} is not within {} to {}", range.start(), range.end()))
    })
}

/// Reads a duration.
pub fn duration(value: &Value<'_>) -> Result<Duration, Refusal> {
    quantity(value, quantity::duration, &quantity::DURATION)
}

/// Reads a duration that is not zero.
pub fn some_time(value: &Value<'_>) -> Result<Duration, Refusal> {
    match duration(value)? {
        Duration::ZERO => Err(Refusal::new(value.span(), "must be longer than no time at all")),
        time => Ok(time),
    }
}

/// Reads a number of bytes, one or more; a bare number means bytes.
pub fn size(value: &Value<'_>) -> Result<u64, Refusal> {
    let bytes = if value.get_ref().is_integer() {
        whole(value)?
    } else {
        quantity(value, quantity::size, &quantity::SIZE)?
    };
    if bytes == 0 { Err(Refusal::new(value.span(), "must be at least one byte")) } else { Ok(bytes) }
}

/// Reads a rate in bytes a second, not zero.
pub fn rate(value: &Value<'_>) -> Result<u64, Refusal> {
    match quantity(value, quantity::rate, &quantity::RATE)? {
        0 => Err(Refusal::new(value.span(), "a rate of zero moves nothing")),
        rate => Ok(rate),
    }
}

/// Reads a share between 0 and 1: `"1 %"`, `"0.01"` or `0.01`.
pub fn share(value: &Value<'_>) -> Result<f64, Refusal> {
    let share = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse::<f64>().map_err(|_| wrong(value, "a number"))?,
        DeValue::Integer(_) => whole(value)? as f64,
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => quantity(value, quantity::share, &quantity::SHARE)?,
    };
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        let refusal = Refusal::new(value.span(), format!("{share} is not between 0 and 1 (100 %)"));
        Err(if (1.0..=100.0).contains(&share) {
            refusal.hint(format!("write \"{share} %\""))
        } else {
            refusal
        })
    }
}

/// Reads one of a few words.
pub fn word<T: Copy>(value: &Value<'_>, words: &[(&str, T)]) -> Result<T, Refusal> {
    let text = text(value)?;
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let refusal = Refusal::new(value.span(), format!("`{text}` is not known here"));
        refusal.hint(nearest(&text, words.iter().map(|(word, _)| *word)))
    })
}

/// A hint at what `word` may have meant, or at all there is.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = suggestion(word, candidates.clone()) {
        return format!("did you mean \"{near}\"?");
    }
    let all: Vec<_> = candidates.map(|candidate| format!("\"{candidate}\"")).collect();
    format!("it can be {}", all.join(", "))
}

fn quantity<T>(
    value: &Value<'_>,
    read: impl Fn(&str) -> Result<T, Complaint>,
    kind: &Kind,
) -> Result<T, Refusal> {
    let text = value.get_ref().as_str().ok_or_else(|| {
        let refusal = wrong(value, &kind.due());
        match written(value).filter(|number| !number.starts_with('-')) {
            Some(number) => refusal.hint(format!("write {}", kind.examples(Some(&number)))),
            None => refusal,
        }
    })?;
    read(text).map_err(|complaint| Refusal::new(value.span(), complaint))
}
