//! What tests of the whole system need: a real server as its own process, a typed view of its
//! API and its pages, a real browser, and a model server that follows a script.
//!
//! Only tests and benchmarks use this crate.

pub mod api;
pub mod archive;
pub mod browser;
pub mod host;
pub mod https;
pub mod mirror;
pub mod model;
pub mod pages;
pub mod process;
pub mod registry;
pub mod server;
pub mod stream;

pub use api::{Answer, Api};
pub use browser::Browser;
pub use https::HttpsServer;
pub use mirror::{Mirror, MirroredRequest};
pub use model::ModelServer;
pub use pages::Pages;
pub use process::TestProcess;
pub use registry::RegistryServer;
pub use server::{Server, ServerOptions};
pub use stream::{EventStream, StreamEvent};
