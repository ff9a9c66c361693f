//! One file per command.

pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod bench;
pub(crate) mod completion;
pub(crate) mod compose;
pub(crate) mod cook;
pub(crate) mod cron_words;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod fsck;
pub(crate) mod gc;
pub(crate) mod image;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod run;
pub(crate) mod runner;
pub(crate) mod schedule;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod variable;
pub(crate) mod volume;
