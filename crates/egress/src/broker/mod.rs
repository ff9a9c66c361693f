//! The secret broker: puts the values of secrets into requests to their hosts, and keeps them
//! from coming back (agents 1.4).
//!
//! A sandbox has placeholders. [`Broker::apply`] puts the value into the place that a binding
//! names, whatever the sandbox sent there, and refuses a request whose head carries a placeholder
//! anywhere else. [`Scanner`] looks for placeholders in what a request's body says, [`Masker`]
//! for values in what a server answers. Pure: no I/O and no clock; the adapters for bodies and
//! streams are in `crate::body` and `crate::stream`.
//!
//! **Placeholders in bodies.** A placeholder is worth nothing outside of its run's gateway, which
//! never puts a value into a body. One on its way to a host that is not its own is refused all the
//! same: it is a mistake, or somebody trying. The exception are the hosts of the secret itself and
//! the model hosts of the framework: an agent that has looked at its environment sends what it
//! saw to its model as part of the conversation, and must go on working. There it passes as the
//! text it is.
//!
//! **Values in memory.** A value is zeroised when the gateway of its run is dropped, and so are the
//! headers and the query made of it when the request is gone. Two copies are beyond our reach:
//! hyper's write buffers, and the automaton that looks for values in answers.

mod frames;
mod head;
mod inject;
mod mask;
mod placeholders;
mod rules;
mod scan;
mod secret;

pub(crate) use frames::{FrameError, Frames};
pub(crate) use mask::Masker;
pub(crate) use rules::{ApplyError, Broker, Injected, Stray};
pub(crate) use scan::Scanner;
pub use secret::{BrokeredSecret, SecretError};
