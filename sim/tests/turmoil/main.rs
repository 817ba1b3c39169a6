//! The same code inside `turmoil` 0.7.

mod swarm;
mod transport;
mod window;

use std::time::Duration;

use engine::transport::conformance::{Seat, dial, serve};
use transport::environment;

#[test]
fn turmoil_conforms() -> turmoil::Result {
    let mut sim = turmoil::Builder::new()
        .rng_seed(1)
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(Duration::from_secs(600))
        .tcp_capacity(1 << 16)
        .udp_capacity(1 << 16)
        .build();
    sim.client("server", async {
        let (here, there) = (turmoil::lookup("server"), turmoil::lookup("client"));
        Ok(serve(&Seat { environment: environment(), here, there, first_port: 1_000 }).await?)
    });
    sim.client("client", async {
        let (here, there) = (turmoil::lookup("client"), turmoil::lookup("server"));
        Ok(dial(&Seat { environment: environment(), here, there, first_port: 1_000 }).await?)
    });
    sim.run()
}
