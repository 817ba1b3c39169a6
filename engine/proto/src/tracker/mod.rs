//! The tracker codecs: UDP (BEP 15).
