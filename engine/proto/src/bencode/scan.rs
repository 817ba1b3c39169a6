//! The scanner: one pass, no recursion, nothing allocated but one small frame a level (BEP 3).

use std::cmp::Ordering;
use std::ops::Range;

use thiserror::Error;

/// How much of an input is looked at before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub len: usize,
    /// Lists and dictionaries inside one another.
    pub depth: usize,
    /// Values and keys altogether: typed values take far more memory than two bytes of `le`.
    pub items: usize,
    /// What is asked of the keys of a dictionary.
    pub order: KeyOrder,
}

/// What is asked of the keys of a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// Sorted as raw bytes, without duplicates, as BEP 3 asks.
    Strict,
    /// Any order: torrents with unsorted keys exist, and their info hash is over the bytes as they are. Two
    /// equal keys in a row are still an error.
    Any,
}

impl Limits {
    /// For one message of a peer or a tracker, `len` bytes at the most: shallow and of few items.
    pub const fn message(len: usize) -> Self {
        Self { len, depth: 16, items: 20_000, order: KeyOrder::Any }
    }
}

/// Why bytes are not acceptable bencoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind}, at byte {offset}")]
pub struct ScanError {
    /// Bytes from the start of the input.
    pub offset: usize,
    /// What is wrong there.
    pub kind: Malformed,
}

/// What is wrong with a piece of bencoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The input ends inside a value.
    #[error("the data ends in the middle of a value (truncated?)")]
    Truncated,
    /// The input goes on after its value.
    #[error("more data follows the end of the value")]
    TrailingBytes,
    /// Above [`Limits::len`].
    #[error("the data is longer than the limit of {0} bytes")]
    TooLong(usize),
    /// Above [`Limits::depth`].
    #[error("lists and dictionaries are nested deeper than {0}")]
    TooDeep(usize),
    /// Above [`Limits::items`].
    #[error("more than {0} values")]
    TooManyItems(usize),
    /// A byte that begins no value.
    #[error("{:?} begins no bencoded value", char::from(*.0))]
    UnexpectedByte(u8),
    /// Something other than digits, or none.
    #[error("a number with other characters than digits")]
    NotANumber,
    /// `i007e` or `03:abc`.
    #[error("a number with leading zeros")]
    LeadingZero,
    /// `i-0e`.
    #[error("the number -0")]
    NegativeZero,
    /// More than 64 bits with sign.
    #[error("a number that does not fit 64 bits")]
    NumberRange,
    /// A dictionary key that is not a string.
    #[error("a dictionary key that is not a string")]
    KeyNotString,
    /// A key without a value.
    #[error("a dictionary key without a value")]
    MissingValue,
    /// A key below the one before it.
    #[error("dictionary keys out of order")]
    UnsortedKey,
    /// A key equal to the one before it.
    #[error("a dictionary key that comes twice")]
    DuplicateKey,
}

/// One whole value that passed the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned<'a> {
    bytes: &'a [u8],
    limits: Limits,
}

impl<'a> Scanned<'a> {
    /// The value's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Is it a dictionary?
    pub fn is_dictionary(&self) -> bool {
        self.bytes.first() == Some(&b'd')
    }

    /// The entries of the outermost dictionary as raw bytes; none if it is not a dictionary.
    pub fn entries(&self) -> Entries<'a> {
        let at = if self.is_dictionary() { 1 } else { self.bytes.len() };
        Entries { bytes: self.bytes, at, limits: self.limits }
    }

    /// The raw, still encoded value under `key` in the outermost dictionary.
    pub fn raw_value(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.entries().find_map(|(name, value)| (name == key).then_some(value))
    }
}

/// The entries of a dictionary: `(key, raw value)`.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: Limits,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // At the dictionary's `e`, the key is no string and the iteration ends.
        let key = string(self.bytes, self.at).ok()?;
        let end = value_end(self.bytes, key.end, self.limits).ok()?;
        self.at = end;
        Some((self.bytes.get(key.clone())?, self.bytes.get(key.end..end)?))
    }
}

/// Checks that `bytes` are exactly one value.
pub fn scan(bytes: &[u8], limits: Limits) -> Result<Scanned<'_>, ScanError> {
    let scanned = scan_prefix(bytes, limits)?;
    match scanned.bytes.len() {
        end if end == bytes.len() => Ok(scanned),
        end => fail(end, Malformed::TrailingBytes),
    }
}

/// Checks that `bytes` begin with one value; what follows it is the caller's (BEP 9 puts data there).
pub fn scan_prefix(bytes: &[u8], limits: Limits) -> Result<Scanned<'_>, ScanError> {
    if bytes.len() > limits.len {
        return fail(limits.len, Malformed::TooLong(limits.len));
    }
    let end = value_end(bytes, 0, limits)?;
    Ok(Scanned { bytes: bytes.get(..end).unwrap_or_default(), limits })
}

/// An open list or dictionary.
enum Frame {
    List,
    /// A dictionary that waits for a key or its end.
    Key {
        previous: Option<Range<usize>>,
    },
    /// A dictionary that waits for this key's value.
    Value {
        key: Range<usize>,
    },
}

/// Where the value that begins at `start` ends.
fn value_end(bytes: &[u8], start: usize, limits: Limits) -> Result<usize, ScanError> {
    Walk { bytes, limits, at: start, frames: Vec::new() }.run()
}

/// The scan under way: a place, and the lists and dictionaries around it.
struct Walk<'a> {
    bytes: &'a [u8],
    limits: Limits,
    at: usize,
    frames: Vec<Frame>,
}

impl Walk<'_> {
    fn run(mut self) -> Result<usize, ScanError> {
        for _ in 0..self.limits.items {
            if self.step()? && self.completes_all() {
                return Ok(self.at);
            }
        }
        fail(self.at, Malformed::TooManyItems(self.limits.items))
    }

    /// Takes one key, one value, or one bracket; true if that completed a value.
    fn step(&mut self) -> Result<bool, ScanError> {
        match (self.frames.last_mut(), byte(self.bytes, self.at)?) {
            (Some(Frame::Value { .. }), b'e') => return fail(self.at, Malformed::MissingValue),
            (Some(_), b'e') => {
                self.frames.pop();
                self.at += 1;
            }
            (Some(frame @ Frame::Key { .. }), _) => {
                let key = next_key(self.bytes, self.at, frame, self.limits.order)?;
                self.at = key.end;
                *frame = Frame::Value { key };
                return Ok(false);
            }
            (_, b'l') => return self.open(Frame::List),
            (_, b'd') => return self.open(Frame::Key { previous: None }),
            (_, b'i') => self.at = integer(self.bytes, self.at)?,
            (_, b'0'..=b'9') => self.at = string(self.bytes, self.at)?.end,
            (_, other) => return fail(self.at, Malformed::UnexpectedByte(other)),
        }
        Ok(true)
    }

    fn open(&mut self, frame: Frame) -> Result<bool, ScanError> {
        if self.frames.len() >= self.limits.depth {
            return fail(self.at, Malformed::TooDeep(self.limits.depth));
        }
        self.frames.push(frame);
        self.at += 1;
        Ok(false)
    }

    /// Accounts for a complete value; true if it was the outermost.
    fn completes_all(&mut self) -> bool {
        if let Some(Frame::Value { key }) = self.frames.last_mut() {
            let previous = Some(key.clone());
            self.frames.pop();
            self.frames.push(Frame::Key { previous });
        }
        self.frames.is_empty()
    }
}

/// The key at `at`, in order after the one before it.
fn next_key(bytes: &[u8], at: usize, frame: &Frame, order: KeyOrder) -> Result<Range<usize>, ScanError> {
    if !byte(bytes, at)?.is_ascii_digit() {
        return fail(at, Malformed::KeyNotString);
    }
    let key = string(bytes, at)?;
    if let Frame::Key { previous: Some(previous) } = frame {
        match (bytes.get(previous.clone()).cmp(&bytes.get(key.clone())), order) {
            (Ordering::Equal, _) => return fail(at, Malformed::DuplicateKey),
            (Ordering::Greater, KeyOrder::Strict) => return fail(at, Malformed::UnsortedKey),
            (Ordering::Greater, KeyOrder::Any) | (Ordering::Less, _) => {}
        }
    }
    Ok(key)
}

/// The end of the integer whose `i` stands at `at`.
fn integer(bytes: &[u8], at: usize) -> Result<usize, ScanError> {
    let negative = byte(bytes, at + 1)? == b'-';
    let first = at + 1 + usize::from(negative);
    // Negative numbers are summed as such, since the lowest has no positive twin.
    let (end, value) = digits(bytes, first, if negative { -1 } else { 1 })?;
    if negative && value == 0 {
        return fail(at, Malformed::NegativeZero);
    }
    match byte(bytes, end)? {
        b'e' => Ok(end + 1),
        _ => fail(end, Malformed::NotANumber),
    }
}

/// The content of the string whose length stands at `at`.
fn string(bytes: &[u8], at: usize) -> Result<Range<usize>, ScanError> {
    let (colon, len) = digits(bytes, at, 1)?;
    if byte(bytes, colon)? != b':' {
        return fail(colon, Malformed::NotANumber);
    }
    let start = colon + 1;
    let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len));
    match end {
        Some(end) if end <= bytes.len() => Ok(start..end),
        _ => fail(bytes.len(), Malformed::Truncated),
    }
}

/// The decimal number at `at`, without leading zeros, times `sign`; and where it ends.
fn digits(bytes: &[u8], at: usize, sign: i64) -> Result<(usize, i64), ScanError> {
    let run = bytes.get(at..).unwrap_or_default();
    let run = run.iter().position(|byte| !byte.is_ascii_digit()).and_then(|len| run.get(..len));
    let Some(run) = run else { return fail(bytes.len(), Malformed::Truncated) };
    match run {
        [] => fail(at, Malformed::NotANumber),
        [b'0', _, ..] => fail(at, Malformed::LeadingZero),
        _ => run
            .iter()
            .try_fold(0_i64, |sum, &digit| {
                sum.checked_mul(10)?.checked_add(sign * i64::from(digit.wrapping_sub(b'0')))
            })
            .map(|value| (at + run.len(), value))
            .ok_or(ScanError { offset: at, kind: Malformed::NumberRange }),
    }
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, ScanError> {
    bytes.get(at).copied().ok_or(ScanError { offset: bytes.len(), kind: Malformed::Truncated })
}

fn fail<T>(offset: usize, kind: Malformed) -> Result<T, ScanError> {
    Err(ScanError { offset, kind })
}
