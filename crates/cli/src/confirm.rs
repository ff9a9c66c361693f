//! The question before something is deleted.

use crate::error::Failure;
use crate::exit::Exit;
use crate::output::Output;

/// Asks whether to delete `what`, unless `yes` says so already. Without a terminal there is nobody
/// to ask.
pub(crate) fn confirm_delete(output: &Output, yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !output.can_ask() {
        let message = "Deleting asks first; without a terminal use --yes";
        return Err(Failure::usage(message));
    }
    if output.confirm(&format!("Delete {what}?"))? {
        Ok(())
    } else {
        let message = "Nothing was deleted";
        Err(Failure::new(Exit::Failed, "declined", message))
    }
}
