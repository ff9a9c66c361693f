//! What time demands: schedules are due, leases, upload sessions and sign-ins expire, uses of tokens
//! are recorded, what nothing refers to is removed.

mod certificates;
mod garbage;
mod leases;
mod schedules;
mod sign_in;
mod tasks;
mod tokens;
mod uploads;

pub(crate) use tasks::start;
pub(crate) use tokens::record_all as record_all_token_use;
