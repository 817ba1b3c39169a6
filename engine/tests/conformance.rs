//! The transport conformance suite over the operating system's sockets.

use std::net::{IpAddr, Ipv4Addr};

use engine::environment::Environment;
use engine::transport::conformance::{PORTS, Seat, Violation, conforms};

/// Below the ephemeral ports and, in all likelihood, different for two test processes at once.
fn first_port() -> u16 {
    10_000 + (std::process::id() % 1200) as u16 * PORTS
}

#[tokio::test]
async fn tokio_sockets_conform() -> Result<(), Violation> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let environment = Environment::os(here);
    let seat = Seat { environment, here, there: here, first_port: first_port() };
    conforms(&seat, &seat).await
}
