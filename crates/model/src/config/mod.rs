//! The configuration of an agent: `vm0.yaml`, or the same structure as JSON (agents 1).
//!
//! A text becomes a tree with source positions (`yaml`, `node`), the tree is checked and read in
//! one pass that collects every problem (`document` and the modules below it), and what comes out
//! is the typed [`AgentConfig`] and the value to store. Both forms run through the same checks.

mod agent;
mod agent_fields;
mod budget_fields;
mod custom;
mod document;
mod field;
mod firewall;
mod host;
mod image;
mod mount_fields;
mod network_fields;
mod network_section;
mod node;
mod problem;
mod schema;
mod secret_fields;
mod skill;
mod skill_file;
mod version;
mod yaml;
mod yaml_writer;

pub use agent::{
    AgentConfig, Budget, CustomCommand, Inject, Instructions, Mount, Resources, SecretBinding,
    SecretHost, VolumeConfig,
};
pub use document::{from_yaml, problem_at, yaml_value};
pub use host::HostPattern;
pub use network_section::network_policy;
pub use problem::Problem;
pub use schema::{config_schema, config_schema_json};
pub use skill::{SkillSource, SkillSourceError};
pub use skill_file::{SkillNeeds, skill_needs};
pub use version::{agent_version_id, canonical_json, stored_config};
pub use yaml_writer::to_yaml;
