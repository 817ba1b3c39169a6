//! What a peer id says about the client behind it (BEP 20). A peer may write anything there: it is for people to
//! read, and decides nothing.

use crate::id::PeerId;

/// Clients in the Azureus style: `-XXvvvv-`.
const AZUREUS: &[([u8; 2], &str)] = &[
    (*b"7T", "aTorrent"),
    (*b"AG", "Ares"),
    (*b"AZ", "Vuze"),
    (*b"BC", "BitComet"),
    (*b"BG", "BTGet"),
    (*b"BI", "BiglyBT"),
    (*b"BT", "BitTorrent"),
    (*b"DE", "Deluge"),
    (*b"FD", "Free Download Manager"),
    (*b"FL", "Flud"),
    (*b"FW", "FrostWire"),
    (*b"GT", "anacrolix/torrent"),
    (*b"KT", "KTorrent"),
    (*b"LT", "libtorrent"),
    (*b"lt", "rTorrent"),
    (*b"OT", "OurTorrent"),
    (*b"PI", "PicoTorrent"),
    (*b"QD", "QQDownload"),
    (*b"qB", "qBittorrent"),
    (*b"rQ", "rqbit"),
    (*b"SD", "Xunlei"),
    (*b"TL", "Tribler"),
    (*b"TR", "Transmission"),
    (*b"TX", "Tixati"),
    (*b"UM", "µTorrent Mac"),
    (*b"UT", "µTorrent"),
    (*b"UW", "µTorrent Web"),
    (*b"WW", "WebTorrent"),
    (*b"XL", "Xunlei"),
];

/// Clients in Shadow's style: one letter, then up to five characters of a version, filled up with `-`.
const SHADOW: &[(u8, &str)] = &[
    (b'A', "ABC"),
    (b'O', "Osprey"),
    (b'Q', "BTQueue"),
    (b'R', "Tribler"),
    (b'S', "Shadow's client"),
    (b'T', "BitTornado"),
    (b'U', "UPnP NAT client"),
];

/// The digits of a version in Shadow's style; each stands for its place.
const SHADOW_DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.";

/// The name and version that a peer id claims, or nothing if it follows no convention.
pub(super) fn client_of(id: PeerId) -> Option<String> {
    azureus(id.as_bytes()).or_else(|| dashed(id.as_bytes())).or_else(|| shadow(id.as_bytes()))
}

//= BEP 20: "Azureus-style uses the following encoding: '-', two characters for client id, four ascii digits for
// version number, '-'". In practice letters count on where the digits end.
fn azureus(id: &[u8; 20]) -> Option<String> {
    let [b'-', first, second, version @ .., b'-'] = id.first_chunk::<8>()? else { return None };
    let code = [*first, *second];
    let digits: Vec<u32> =
        version.iter().map(|&byte| char::from(byte).to_digit(36)).collect::<Option<_>>()?;
    let known = AZUREUS.iter().find(|(known, _)| *known == code).map(|&(_, name)| name.to_owned());
    let unknown =
        || code.iter().all(u8::is_ascii_alphanumeric).then(|| code.map(char::from).iter().collect());
    Some(format!("{} {}", known.or_else(unknown)?, dotted(&digits)))
}

/// The mainline client's `M7-2-1--` and aria2's `A2-1-37-0-`.
fn dashed(id: &[u8; 20]) -> Option<String> {
    let text: String = id.iter().take(12).map(|&byte| char::from(byte)).collect();
    let (name, rest) = match text.strip_prefix("A2-") {
        Some(rest) => ("aria2", rest),
        None => ("BitTorrent", text.strip_prefix('M')?),
    };
    let numbers = rest.split('-').take(3).map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()?;
    (numbers.len() == 3).then(|| format!("{name} {}", dotted(&numbers)))
}

//= BEP 20: "Shadow's style uses one ascii alphanumeric for client identification, up to five characters for
// version number (padded with '-' if less than five), followed by three characters".
fn shadow(id: &[u8; 20]) -> Option<String> {
    let (letter, rest) = id.split_first()?;
    let (version, padding) = (rest.get(..5)?, rest.get(5..8)?);
    let (_, name) = SHADOW.iter().find(|(known, _)| known == letter)?;
    let filled = version.iter().rposition(|&byte| byte != b'-')? + 1;
    let digit = |&byte: &u8| Some(SHADOW_DIGITS.iter().position(|&known| known == byte)? as u32);
    let digits = version.get(..filled)?.iter().map(digit).collect::<Option<Vec<_>>>()?;
    (padding == b"---").then(|| format!("{name} {}", dotted(&digits)))
}

fn dotted(numbers: &[u32]) -> String {
    let last = numbers.iter().rposition(|&number| number != 0).unwrap_or(0).max(1);
    let texts: Vec<_> = numbers.iter().take(last + 1).map(u32::to_string).collect();
    texts.join(".")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(start: &[u8]) -> Option<String> {
        let mut id = [b'x'; 20];
        id[..start.len()].copy_from_slice(start);
        client_of(PeerId(id))
    }

    #[test]
    fn clients_are_known_by_their_ids() {
        assert_eq!(named(b"-TR4060-").as_deref(), Some("Transmission 4.0.6"));
        assert_eq!(named(b"-qB46A0-").as_deref(), Some("qBittorrent 4.6.10"));
        assert_eq!(named(b"-LT2000-").as_deref(), Some("libtorrent 2.0"));
        assert_eq!(named(&PeerId::PREFIX).as_deref(), Some("OurTorrent 0.1"));
        assert_eq!(named(b"-ZZ1234-").as_deref(), Some("ZZ 1.2.3.4"));
        assert_eq!(named(b"A2-1-37-0-").as_deref(), Some("aria2 1.37"));
        assert_eq!(named(b"M7-10-1--").as_deref(), Some("BitTorrent 7.10.1"));
        assert_eq!(named(b"T03I-----").as_deref(), Some("BitTornado 0.3.18"));
        assert_eq!(named(b"-\x1b[2Jxx-"), None);
        assert_eq!(named(b""), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_safe_to_print(id: [u8; 20]) {
            let name = client_of(PeerId(id)).unwrap_or_default();
            prop_assert!(name.chars().all(|c| !c.is_control()) && name.len() < 64);
        }
    }
}
