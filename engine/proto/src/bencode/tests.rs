//! Known vectors of the scanner, and properties of both directions.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_bencode::value::Value;

use super::*;

const LIMITS: Limits = Limits { len: 1 << 20, depth: 8, items: 1000, order: KeyOrder::Strict };
const LOOSE: Limits = Limits { order: KeyOrder::Any, ..LIMITS };

fn error(bytes: &[u8]) -> (usize, Malformed) {
    let error = scan(bytes, LIMITS).expect_err("must be refused");
    (error.offset, error.kind)
}

#[test]
fn whole_values_pass() {
    for good in ["i0e", "i-1e", "i9223372036854775807e", "i-9223372036854775808e", "0:", "4:spam", "le", "de"]
    {
        assert_eq!(scan(good.as_bytes(), LIMITS).expect(good).bytes(), good.as_bytes());
    }
    assert!(scan(b"d3:bar4:spam3:fool1:ai42ed0:0:eee", LIMITS).is_ok());
}

#[test]
fn every_malformation_is_named_with_its_place() {
    assert_eq!(error(b""), (0, Malformed::Truncated));
    assert_eq!(error(b"i12"), (3, Malformed::Truncated));
    assert_eq!(error(b"5:spam"), (6, Malformed::Truncated));
    assert_eq!(error(b"l4:spam"), (7, Malformed::Truncated));
    assert_eq!(error(b"99999999999999999:x"), (19, Malformed::Truncated));
    assert_eq!(error(b"i1ei2e"), (3, Malformed::TrailingBytes));
    assert_eq!(error(b"i-0e"), (0, Malformed::NegativeZero));
    assert_eq!(error(b"i03e"), (1, Malformed::LeadingZero));
    assert_eq!(error(b"i-03e"), (2, Malformed::LeadingZero));
    assert_eq!(error(b"03:abc"), (0, Malformed::LeadingZero));
    assert_eq!(error(b"ie"), (1, Malformed::NotANumber));
    assert_eq!(error(b"i-e"), (2, Malformed::NotANumber));
    assert_eq!(error(b"i+1e"), (1, Malformed::NotANumber));
    assert_eq!(error(b"i1.5e"), (2, Malformed::NotANumber));
    assert_eq!(error(b"4spam"), (1, Malformed::NotANumber));
    assert_eq!(error(b"i9223372036854775808e"), (1, Malformed::NumberRange));
    assert_eq!(error(b"<html>"), (0, Malformed::UnexpectedByte(b'<')));
    assert_eq!(error(b"e"), (0, Malformed::UnexpectedByte(b'e')));
    assert_eq!(error(b"di1ei2ee"), (1, Malformed::KeyNotString));
    assert_eq!(error(b"d1:ae"), (4, Malformed::MissingValue));
    assert_eq!(error(b"d1:bi1e1:ai2ee"), (7, Malformed::UnsortedKey));
    assert_eq!(error(b"d1:ai1e1:ai2ee"), (7, Malformed::DuplicateKey));
}

#[test]
fn unsorted_keys_pass_only_when_any_order_does() {
    assert!(scan(b"d1:bi1e1:ai2ee", LOOSE).is_ok());
    assert!(scan(b"d1:ai1e1:ai2ee", LOOSE).is_err());
}

#[test]
fn limits_hold() {
    let deep = |levels: usize| [b"l".repeat(levels), b"e".repeat(levels)].concat();
    assert!(scan(&deep(8), LIMITS).is_ok());
    assert_eq!(error(&deep(9)), (8, Malformed::TooDeep(8)));
    assert_eq!(error(&b"l".repeat(1 << 20)), (8, Malformed::TooDeep(8)));
    assert_eq!(error(&vec![b'x'; (1 << 20) + 1]), (1 << 20, Malformed::TooLong(1 << 20)));
    assert_eq!(error(&[b"l".to_vec(), b"le".repeat(500)].concat()), (1000, Malformed::TooManyItems(1000)));
}

#[test]
fn raw_values_keep_their_original_bytes() {
    let scanned = scan(b"d4:infod1:bi1e1:ai2ee1:zlee", LOOSE).expect("valid");
    assert_eq!(scanned.raw_value(b"info"), Some(&b"d1:bi1e1:ai2ee"[..]));
    assert_eq!(scanned.raw_value(b"z"), Some(&b"le"[..]));
    assert_eq!(scanned.raw_value(b"b"), None);
    assert_eq!(scan(b"l4:infoe", LOOSE).expect("valid").raw_value(b"info"), None);
}

#[test]
fn a_prefix_leaves_the_rest_alone() {
    let scanned = scan_prefix(b"d1:ai1eerest", LIMITS).expect("valid");
    assert_eq!(scanned.bytes(), b"d1:ai1ee");
}

#[test]
fn another_shape_is_told_apart_from_malformed_bytes() {
    assert!(matches!(decode::<u32>(b"4:spam", LIMITS), Err(BencodeError::Shape(_))));
    assert!(matches!(decode::<u32>(b"i-0e", LIMITS), Err(BencodeError::Scan(_))));
    assert_eq!(decode::<u32>(b"i7e", LIMITS), Ok(7));
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..12);
    let leaf = prop_oneof![any::<i64>().prop_map(Value::Int), bytes.clone().prop_map(Value::Bytes)];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::btree_map(bytes.clone(), inner, 0..6)
                .prop_map(|map: BTreeMap<_, _>| Value::Dict(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_strict_and_decodes_to_itself(value in value()) {
        let bytes = encode(&value).expect("bencodable");
        prop_assert_eq!(decode::<Value>(&bytes, LIMITS), Ok(value));
    }

    #[test]
    fn scanning_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes, LIMITS);
    }

    #[test]
    fn scanning_bencode_alike_text_never_panics_and_agrees_with_serde(text in "[deil0-9:a-]{0,40}") {
        if let Ok(scanned) = scan(text.as_bytes(), LOOSE) {
            prop_assert!(scanned.decode::<Value>().is_ok());
        }
    }

    #[test]
    fn no_proper_prefix_of_a_value_passes(value in value()) {
        let bytes = encode(&value).expect("bencodable");
        for end in 0..bytes.len() {
            prop_assert!(scan(&bytes[..end], LIMITS).is_err());
        }
    }
}
