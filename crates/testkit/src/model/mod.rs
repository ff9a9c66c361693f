//! A model server that follows a script, for the real agents.
//!
//! It speaks the streaming forms of the Messages API (Claude Code, opencode), of the Responses API
//! (Codex) and of Gemini's API (Gemini CLI). What it answers is decided by the conversation alone: a prompt that contains
//! `RUN[command]RUN` is answered by one shell tool call with that command, and the tool's result
//! by the text `turn N done`, N being the number of prompts in the conversation. Every request
//! body is kept for the test to look at.

mod generate;
mod messages;
mod responses;
mod script;
mod serve;

pub use serve::ModelServer;
