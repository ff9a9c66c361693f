//! What tests of the whole system need: a real server as its own process, a typed view of its
//! API, and a model server that follows a script.
//!
//! Only tests and benchmarks use this crate.

pub mod api;
pub mod archive;
pub mod host;
pub mod model;
pub mod process;
pub mod server;
pub mod stream;

pub use api::{Answer, Api};
pub use model::ModelServer;
pub use server::{Server, ServerOptions};
pub use stream::{EventStream, StreamEvent};
