//! The tracker client: announces over BEP 15 with retries, as a pure machine.
