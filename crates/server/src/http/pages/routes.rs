//! All pages.

use super::super::router::Route;
use super::{device, home, sign_in};

pub(in crate::http) fn routes() -> Vec<Route> {
    [home::routes(), sign_in::routes(), device::routes()]
        .into_iter()
        .flatten()
        .collect()
}
