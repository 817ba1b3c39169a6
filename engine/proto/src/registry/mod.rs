//! The tracker server: swarms, peer choice, expiry and connection ids, as a pure machine.
