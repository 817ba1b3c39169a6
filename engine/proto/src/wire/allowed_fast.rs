//! The allowed-fast set (BEP 6): pieces that a peer may request while it is choked, the same for everybody
//! in its network, so that nobody gets more of them by reconnecting.

use std::net::Ipv4Addr;

use sha1::{Digest, Sha1};

use crate::id::InfoHash;

/// The first `count` pieces, of `pieces`, that a peer at `ip` may request while choked. BEP 6 defines it for
/// IPv4 only.
///
//= BEP 6: x is the masked address and the info hash; each round takes SHA-1 of x and reads it as five numbers.
pub fn allowed_fast(ip: Ipv4Addr, info_hash: InfoHash, pieces: u32, count: u32) -> Vec<u32> {
    // With fewer pieces than are wanted, the loop would never end.
    let count = count.min(pieces) as usize;
    let [a, b, c, _] = ip.octets();
    let mut x: Vec<u8> = [&[a, b, c, 0][..], info_hash.as_bytes()].concat();
    let mut set = Vec::with_capacity(count);
    while set.len() < count {
        x = Sha1::digest(&x).to_vec();
        for number in x.as_chunks::<4>().0 {
            let piece = u32::from_be_bytes(*number) % pieces;
            if set.len() < count && !set.contains(&piece) {
                set.push(piece);
            }
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_specification() {
        let ip = Ipv4Addr::new(80, 4, 4, 200);
        let set = allowed_fast(ip, InfoHash([0xaa; 20]), 1313, 9);
        assert_eq!(set, [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
        assert_eq!(allowed_fast(ip, InfoHash([0xaa; 20]), 1313, 7), set[..7]);
        let neighbour = Ipv4Addr::new(80, 4, 4, 1);
        assert_eq!(allowed_fast(neighbour, InfoHash([0xaa; 20]), 1313, 9), set);
    }

    #[test]
    fn small_torrents_have_small_sets() {
        let mut set = allowed_fast(Ipv4Addr::LOCALHOST, InfoHash([1; 20]), 3, 10);
        set.sort_unstable();
        assert_eq!(set, [0, 1, 2]);
        assert_eq!(allowed_fast(Ipv4Addr::LOCALHOST, InfoHash([1; 20]), 0, 10), []);
    }
}
