//! From an empty directory to an agent on the server: `init`, `compose` and `completion`, against a
//! real server without a runner, with real git repositories in place of GitHub.

mod completion;
mod compose;
mod harness;
mod init;
mod interrupt;
mod skills;
