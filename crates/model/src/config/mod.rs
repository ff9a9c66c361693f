//! The configuration of an agent.
