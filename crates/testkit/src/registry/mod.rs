//! A registry of images on loopback that can lie: wrong bytes, cut answers, endless ones, logins,
//! redirects.

mod image;
mod serve;

pub use image::{TestImage, config};
pub use serve::{AskedOf, Fault, RegistryRequest, RegistryServer, SignIn};
