//! Published figures to set a measurement beside. They are models, not bounds: nothing is judged by them.

/// Mundinger, Weber & Weiss, "Optimal scheduling of peer-to-peer file dissemination" (2008): the optimal
/// makespan when the seeder and all `peers` upload at `up` bytes a second and whole pieces move one at a time.
pub fn equal_peers_optimum(content: f64, pieces: u32, up: f64, peers: u32) -> f64 {
    content / up * (1.0 + f64::from(peers.max(1).ilog2()) / f64::from(pieces))
}

/// Qiu & Srikant, "Modeling and performance analysis of BitTorrent-like peer-to-peer networks" (2004): a
/// leecher's mean download time in the steady state, in seconds.
///
/// `up` and `down` in copies of the content a second, `seed_leaving` the rate at which finished peers leave
/// (per second), `effectiveness` the share of its upload that a leecher can put to use (close to 1). Nobody
/// gives up.
pub fn steady_download_time(up: f64, down: f64, seed_leaving: f64, effectiveness: f64) -> f64 {
    // 1/beta = max{1/c, (1/eta) (1/mu - 1/gamma)}
    (1.0 / down).max((1.0 / up - 1.0 / seed_leaving) / effectiveness)
}

/// Hajek & Zhu, "The missing piece syndrome in peer-to-peer communication" (2010): the arrivals a second up
/// to which a swarm whose peers leave on completion is stable, with a seeder of `seed_up` bytes a second.
pub fn stable_arrival_rate(seed_up: f64, piece: f64) -> f64 {
    seed_up / piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_peers_with_one_piece_double_their_number_each_round() {
        // 7 peers and a seeder: three rounds.  Here floor(log2 7) + 1 = 3.
        assert!((equal_peers_optimum(1.0, 1, 1.0, 7) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn in_the_steady_state_the_scarcer_side_decides() {
        assert!((steady_download_time(1.0, 0.1, 10.0, 1.0) - 10.0).abs() < 1e-12);
        assert!((steady_download_time(0.1, 10.0, 0.2, 1.0) - 5.0).abs() < 1e-12);
    }

    #[test]
    fn a_seeder_of_ten_pieces_a_second_holds_ten_arrivals() {
        assert!((stable_arrival_rate(10.0, 1.0) - 10.0).abs() < 1e-12);
    }
}
