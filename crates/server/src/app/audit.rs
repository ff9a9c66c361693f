//! Who does what is administrative: a line of the audit for each.

use std::sync::Arc;

use vm0_model::TokenId;
use vm0_store::Store;
use vm0_store::record::Acting;

use super::auth_limit::Client;
use super::context::App;
use super::page_sessions::PageCaller;
use super::tokens::Caller;
use crate::clock;

/// A program that redeems a device code, before it is known whose.
const DEVICE: &str = "device";
/// What the server does by itself.
pub(crate) const SERVER: &str = "server";

impl App {
    /// The store, for one who acts through the API.
    pub(super) fn acting(&self, caller: &Caller) -> Arc<dyn Store> {
        let address = caller.address.clone();
        self.acting_as(user(&caller.user.name), caller.token, address)
    }

    /// The store, for one who acts on a page.
    pub(super) fn acting_on_page(&self, caller: &PageCaller) -> Arc<dyn Store> {
        self.acting_as(user(&caller.user.name), None, caller.address.clone())
    }

    /// The store, for one who signs in as this user.
    pub(super) fn signing_in(
        &self,
        name: &str,
        token: Option<TokenId>,
        client: &Client,
    ) -> Arc<dyn Store> {
        self.acting_as(user(name), token, client.address.clone())
    }

    /// The store, for a program that redeems a device code.
    pub(super) fn acting_device(&self, client: &Client) -> Arc<dyn Store> {
        self.acting_as(DEVICE.to_owned(), None, client.address.clone())
    }

    /// The store, for the server itself.
    pub(crate) fn acting_server(&self) -> Arc<dyn Store> {
        self.acting_as(SERVER.to_owned(), None, None)
    }

    fn acting_as(
        &self,
        who: String,
        token: Option<TokenId>,
        address: Option<String>,
    ) -> Arc<dyn Store> {
        let at = clock::now();
        self.store.acting(Acting {
            who,
            token,
            address,
            at,
        })
    }
}

/// An operator at the command line, who is known to the operating system only.
pub(crate) fn operator() -> Acting {
    Acting {
        who: format!("operator uid {}", rustix::process::getuid().as_raw()),
        token: None,
        address: None,
        at: clock::now(),
    }
}

fn user(name: &str) -> String {
    format!("user {name}")
}
