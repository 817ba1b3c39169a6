//! The query of a URL: pairs of keys and percent-encoded values (RFC 3986).
//!
//! Values are raw bytes, for an info hash is no text. `+` stands for itself: it means a space in HTML
//! forms only, and a client that leaves it as it is means the byte.

/// The longest request target (path and query) that is read, in bytes: a scrape of
/// [`MAX_SCRAPE`](crate::tracker::MAX_SCRAPE) hashes whose every byte is escaped takes 5.3 kB.
pub const MAX_TARGET_LEN: usize = 6144;

/// The keys and raw values of `query`, in their order. A key without `=` has an empty value.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at_checked(equals).unwrap_or((pair, &[]));
        (key, value.get(1..).unwrap_or_default())
    })
}

/// The bytes that `text` stands for; nothing if a `%` is not followed by two hexadecimal digits.
pub fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        let escaped = if byte == b'%' { digit(*rest.next()?)? << 4 | digit(*rest.next()?)? } else { byte };
        bytes.push(escaped);
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Appends `bytes`, with everything escaped but RFC 3986's unreserved characters.
pub fn put_percent_encoded(out: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}
