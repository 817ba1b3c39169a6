//! Tests of the whole machine; those of single parts stand beside them.
