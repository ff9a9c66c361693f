//! The pages of the server, for people with a browser: signing in, and letting programs sign in
//! (CLI 2.1, 3.1). They are HTML without script; `html/` has their templates.
//!
//! Who is signed in is known by a cookie. A form is taken only from a page of this server
//! ([`form`]), and of a signed-in user only with the token that the user's session gave it.

mod cookie;
mod device;
mod fault;
mod form;
mod home;
mod html;
mod page;
mod routes;
mod sign_in;

pub(super) use routes::routes;
