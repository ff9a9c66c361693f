//! The configuration of an agent: `vm0.yaml`, or the same structure as JSON (agents 1).
//!
//! A text becomes a tree with source positions (`yaml`, `node`), the tree is checked and read in
//! one pass that collects every problem (`document` and the modules below it), and what comes out
//! is the typed [`AgentConfig`] and the value to store. Both forms run through the same checks.

mod agent;
mod agent_fields;
mod custom;
mod document;
mod field;
mod firewall;
mod host;
mod image;
mod network_fields;
mod node;
mod problem;
mod secret_fields;
mod skill;
mod version;
mod yaml;

pub use agent::{
    AgentConfig, CustomCommand, Inject, Instructions, Mount, Resources, SecretBinding, SecretHost,
    VolumeConfig,
};
pub use document::from_yaml;
pub use host::HostPattern;
pub use problem::Problem;
pub use skill::{SkillSource, SkillSourceError};
pub use version::{agent_version_id, canonical_json, stored_config};
