//! Criterion benchmarks of OurTorrent; the figures and the commands that made them stand in `README.md`.
