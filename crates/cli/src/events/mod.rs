//! How the events of a run are shown (CLI 4.3): each framework's events become a few kinds of
//! [`said::Said`], and those become lines.

mod claude;
mod codex;
mod gemini;
mod opencode;
mod said;
mod text;
mod view;

pub(crate) use text::{cut, escape, one_line, terminal_width};
pub(crate) use view::EventView;
