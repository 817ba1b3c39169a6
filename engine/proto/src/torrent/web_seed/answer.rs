//! What a server's answer to a range request means (RFC 9110, 14 and 15): which of its bytes are ours, or why none.

use std::time::Duration;

use super::{Fetch, WebError};

/// What counts of an answer's head.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerHead<'a> {
    /// The status code; not a redirect, which is for the driver to follow.
    pub status: u16,
    /// `Content-Range`.
    pub content_range: Option<&'a str>,
    /// `Content-Length`.
    pub content_length: Option<&'a str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// `Retry-After`.
    pub retry_after: Option<&'a str>,
}

/// Which bytes of a body are what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// The server keeps to ranges.
    pub ranged: bool,
    /// Bytes that come before ours.
    pub skip: u64,
    /// Bytes of ours; what follows them is not read.
    pub take: u64,
}

impl AnswerHead<'_> {
    /// Judges the answer to `fetch`.
    pub fn judge(&self, fetch: &Fetch) -> Result<Body, WebError> {
        if self.content_encoding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(WebError::Answer("the server sends the file compressed".to_owned()));
        }
        match self.status {
            206 => self.part(fetch),
            200 => self.whole(fetch),
            429 | 503 => Err(WebError::Busy { status: self.status, retry_after: self.retry_after() }),
            other => Err(WebError::Status(other)),
        }
    }

    //= RFC 9110, 15.3.7: a 206 has a `Content-Range`, unless it is multipart, which nobody gets who asks for one range.
    fn part(&self, fetch: &Fetch) -> Result<Body, WebError> {
        let odd =
            || WebError::Answer("the server answers with another range than it was asked for".to_owned());
        let (range, len) = self.content_range.and_then(content_range).ok_or_else(odd)?;
        same_length(len, fetch)?;
        let (first, last) = range;
        let fits = first == fetch.range.start && (first..fetch.range.end).contains(&last);
        let take = fits.then(|| last - first + 1).ok_or_else(odd)?;
        let body = self.content_length.and_then(|text| text.trim().parse().ok());
        if body.is_some_and(|body: u64| body != take) {
            return Err(odd());
        }
        Ok(Body { ranged: true, skip: 0, take })
    }

    //= RFC 9110, 14.2: "A server MAY ignore the Range header field."
    fn whole(&self, fetch: &Fetch) -> Result<Body, WebError> {
        same_length(self.content_length.and_then(|text| text.trim().parse().ok()), fetch)?;
        Ok(Body { ranged: false, skip: fetch.range.start, take: fetch.range.end - fetch.range.start })
    }

    /// In seconds; a date is not read, for the back-off does as well.
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)
    }
}

fn same_length(len: Option<u64>, fetch: &Fetch) -> Result<(), WebError> {
    match len {
        Some(got) if got != fetch.len => Err(WebError::Length { got, want: fetch.len }),
        Some(_) | None => Ok(()),
    }
}

/// First and last byte, and the length of the whole unless it is not told.
fn content_range(text: &str) -> Option<((u64, u64), Option<u64>)> {
    let (range, len) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let len = if len == "*" { None } else { Some(len.parse().ok()?) };
    Some(((first.parse().ok()?, last.parse().ok()?), len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::torrent::FetchKey;

    fn fetch() -> Fetch {
        let url = "http://m.ex/f".parse().unwrap();
        Fetch { key: FetchKey(1), seed: 0, url, range: 100..200, len: 1000, credit: 1 }
    }

    fn part(content_range: &str) -> Result<Body, WebError> {
        AnswerHead { status: 206, content_range: Some(content_range), ..AnswerHead::default() }
            .judge(&fetch())
    }

    #[test]
    fn the_range_that_was_asked_for_or_its_beginning_is_taken() {
        let body = |take| Ok(Body { ranged: true, skip: 0, take });
        assert_eq!(part("bytes 100-199/1000"), body(100));
        assert_eq!(part("bytes 100-149/*"), body(50));
        for wrong in
            ["bytes 0-99/1000", "bytes 100-200/1000", "bytes 100-99/1000", "bytes */1000", "100-199/1000", ""]
        {
            assert!(matches!(part(wrong), Err(WebError::Answer(_))), "{wrong}");
        }
        let none = AnswerHead { status: 206, ..AnswerHead::default() };
        assert!(matches!(none.judge(&fetch()), Err(WebError::Answer(_))));
        let range = Some("bytes 100-199/1000");
        let other = AnswerHead { content_range: range, content_length: Some("7"), ..none };
        assert!(matches!(other.judge(&fetch()), Err(WebError::Answer(_))), "its length says otherwise");
    }

    #[test]
    fn a_file_of_another_length_is_another_file() {
        let length = Err(WebError::Length { got: 999, want: 1000 });
        assert_eq!(part("bytes 100-199/999"), length);
        let whole = AnswerHead { status: 200, content_length: Some("999"), ..AnswerHead::default() };
        assert_eq!(whole.judge(&fetch()), length);
    }

    #[test]
    fn who_ignores_the_range_sends_the_file_from_its_beginning() {
        for content_length in [None, Some("1000")] {
            let head = AnswerHead { status: 200, content_length, ..AnswerHead::default() };
            assert_eq!(head.judge(&fetch()), Ok(Body { ranged: false, skip: 100, take: 100 }));
        }
        let zipped = AnswerHead { status: 200, content_encoding: Some("gzip"), ..AnswerHead::default() };
        assert!(matches!(zipped.judge(&fetch()), Err(WebError::Answer(_))));
    }

    #[test]
    fn refusals_keep_their_status_and_their_wait() {
        let answer =
            |status, retry_after| AnswerHead { status, retry_after, ..AnswerHead::default() }.judge(&fetch());
        let busy = |status, retry_after| Err(WebError::Busy { status, retry_after });
        assert_eq!(answer(503, Some("120")), busy(503, Some(Duration::from_secs(120))));
        assert_eq!(answer(429, Some("Fri, 31 Dec 1999 23:59:59 GMT")), busy(429, None));
        assert_eq!(answer(404, None), Err(WebError::Status(404)));
    }

    proptest! {
        #[test]
        fn no_head_makes_us_take_more_than_was_asked(
            status in prop_oneof![Just(200_u16), Just(206), any::<u16>()],
            range in "(bytes [0-9]{0,20}-[0-9]{0,20}/[0-9*]{0,20})|.{0,20}", length in "[0-9]{0,20}",
        ) {
            let head = AnswerHead {
                status, content_range: Some(&range), content_length: Some(&length), ..AnswerHead::default()
            };
            if let Ok(body) = head.judge(&fetch()) {
                prop_assert!((1..=100).contains(&body.take) && body.skip <= 100);
            }
        }
    }
}
