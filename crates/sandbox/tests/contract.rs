//! The contract of `sandbox::contract`, over every backend.
//!
//! A backend that does not work here fails its tests, unless `VM0_TEST_SANDBOXES` (a list such as
//! `fake,runc`) leaves it out.

#[cfg(test)]
mod contract {
    pub(crate) mod world;

    mod file;
    mod ids;
    mod life;
    mod limit;
    mod mount;
    mod network;
    mod process;
}
