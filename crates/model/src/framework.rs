//! What a framework is.
