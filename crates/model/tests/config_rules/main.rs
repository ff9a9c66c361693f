//! Every rule of agents 1.2 to 1.7, by configurations that keep or break it: what the checks say,
//! and that the schema for editors agrees.

mod bad;
mod good;
mod schema;
mod texts;
