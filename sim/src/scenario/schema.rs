//! What a scenario may say: every key with the shape of its value, for the decoder and for editors alike.
//!
//! The tables of keys stand beside the code that reads them, which refuses whatever is not in them. The JSON schema
//! (`sim schema`) is made of the same tables, so neither can know a key that the other does not.

use super::fields::Known;

mod json;
#[cfg(test)]
mod tests;

pub use json::json;

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What it means, for a person.
    pub(super) doc: &'static str,
    /// What holds if it is left out, as JSON, if that can be said in one value.
    pub(super) default: Option<&'static str>,
    /// It cannot be left out, unless the scenario extends another one.
    pub(super) is_needed: bool,
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.name
    }
}

impl Known for Key {
    fn example(&self) -> Option<&'static str> {
        match self.shape {
            Shape::Time => Some("\"25 ms\""),
            Shape::Size => Some("\"64 KiB\""),
            Shape::Rate => Some("\"16 Mbit/s\""),
            Shape::Share => Some("\"1 %\""),
            Shape::Number(..) => Some("1.5"),
            Shape::Shift
            | Shape::Drift
            | Shape::AtLeast
            | Shape::AtMost
            | Shape::Within
            | Shape::Times
            | Shape::Crowd
            | Shape::Files
            | Shape::Text
            | Shape::Name
            | Shape::Truth
            | Shape::Natural
            | Shape::Whole(..)
            | Shape::Word(_)
            | Shape::Either(_)
            | Shape::List(_)
            | Shape::Two(_)
            | Shape::Named(..)
            | Shape::Table(_)
            | Shape::OneOf(_)
            | Shape::Member(..) => None,
        }
    }
}

/// A key that may be left out.
pub(super) const fn may(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc, default: None, is_needed: false }
}

/// A key that may be left out, and what it is then.
pub(super) const fn or(default: &'static str, name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc, default: Some(default), is_needed: false }
}

/// A key that cannot be left out.
pub(super) const fn needs(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc, default: None, is_needed: true }
}

/// What values of a key look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Such as `"1 min 30 s"`.
    Time,
    /// Such as `"-50 s"`.
    Shift,
    /// Such as `"200 ppm"`.
    Drift,
    /// Such as `"64 MiB"`, or a number of bytes.
    Size,
    /// Such as `"16 Mbit/s"`.
    Rate,
    /// Such as `"1 %"` or 0.01.
    Share,
    /// A share of at least so much, such as `">= 65 %"`.
    AtLeast,
    /// A share of at most so much, such as `"<= 5 %"`.
    AtMost,
    /// A time of at most so much, such as `"<= 90 s"`.
    Within,
    /// At most so many times, such as `"<= 1.5"`.
    Times,
    /// At most or at least so many peers, such as `"<= 25"` or `">= 40"`.
    Crowd,
    /// Files by their numbers, such as `"0-99"`.
    Files,
    /// Any text.
    Text,
    /// The name of something.
    Name,
    /// `true` or `false`.
    Truth,
    /// A whole number, not negative.
    Natural,
    /// A whole number between these.
    Whole(u32, u32),
    /// A number between these.
    Number(f64, f64),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// One of these shapes.
    Either(&'static [Shape]),
    /// A list of such values.
    List(&'static Shape),
    /// A list of exactly two.
    Two(&'static Shape),
    /// A table of values by names that the author gives; those of these names may say less than they need to.
    Named(&'static Shape, fn() -> Vec<String>),
    /// A table with these keys.
    Table(&'static [&'static [Key]]),
    /// A table with exactly one of these keys.
    OneOf(fn() -> Vec<Key>),
    /// A member of [[peers]] or [[faults]]: a table with exactly one key of each of these sets.
    Member(&'static [&'static [Key]], &'static [fn() -> Vec<&'static str>]),
}
