//! Bencoding (BEP 3): a strict, depth-limited scanner first, then typed values.
