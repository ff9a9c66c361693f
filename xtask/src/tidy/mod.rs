//! Rules that the compiler does not check.

mod edges;
mod errors;
mod paths;
mod shape;
mod tidier;

pub(crate) use tidier::run;
