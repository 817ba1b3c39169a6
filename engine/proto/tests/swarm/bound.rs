//! A lower bound on the time in which a swarm can be served: Kumar and Ross (fluid), piece granularity,
//! bootstrap and arrivals. A measured time below it means that the world cheats.

use crate::plan::Plan;

/// Seconds from the start to the last completion, at the least.
pub(crate) fn of(plan: &Plan, seed: u64) -> f64 {
    let geometry = plan.metainfo.geometry();
    let (len, piece) = (geometry.len() as f64, f64::from(geometry.piece_len()));
    let seeding: f64 = plan.nodes.iter().filter(|node| node.seeder).map(|node| node.up as f64).sum();
    let mut up: Vec<f64> = plan.nodes.iter().filter(|node| !node.seeder).map(|node| node.up as f64).collect();
    up.sort_by(|a, b| b.total_cmp(a));
    let arrivals = plan.arrival_times(seed);
    let leechers = plan.nodes.iter().zip(&arrivals).filter(|(node, _)| !node.seeder);
    let own = leechers.map(|(node, at)| at.as_secs_f64() + len / node.down as f64).fold(0.0, f64::max);
    let mut came: Vec<f64> = plan
        .nodes
        .iter()
        .zip(&arrivals)
        .filter(|(node, _)| !node.seeder)
        .map(|(_, at)| at.as_secs_f64())
        .collect();
    came.sort_by(f64::total_cmp);

    let total = up.len() as f64 * len;
    let fluid = (len / seeding).max(total / (seeding + up.iter().sum::<f64>()));
    // The k-th uplink cannot serve before k pieces exist outside the seeder, nor before the k-th arrival.
    let (mut tau, mut sum, mut starts) = (0.0, 0.0, Vec::new());
    for (&rate, &came) in up.iter().zip(&came) {
        tau += piece / (seeding + sum);
        sum += rate;
        starts.push((rate, f64::max(tau, came)));
    }
    // The last piece leaves the seeder no sooner than all before it, and must then reach everybody else.
    let mut sum = 0.0;
    let spreading: f64 = up.iter().take(up.len().saturating_sub(1)).fold(0.0, |time, rate| {
        sum += rate;
        time + piece / (seeding + sum)
    });
    let granular = len / seeding + spreading;
    let capacity =
        |t: f64| seeding * t + starts.iter().map(|(rate, from)| rate * (t - from).max(0.0)).sum::<f64>();
    let (mut low, mut high) = (0.0, 1e7);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if capacity(middle) >= total { high = middle } else { low = middle }
    }
    fluid.max(granular).max(high).max(own)
}
