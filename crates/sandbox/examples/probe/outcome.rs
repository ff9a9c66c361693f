//! What came of a probe.

use std::io;

use serde_json::{Value, json};

/// What a probe achieved, as evidence, or why it did not.
pub(crate) type Attempt = io::Result<String>;

/// The line of one probe.
pub(crate) fn line(probe: &str, attempt: &Attempt) -> Value {
    match attempt {
        Ok(evidence) => json!({
            "probe": probe, "outcome": "succeeded", "errno": null, "evidence": evidence,
        }),
        Err(error) => json!({
            "probe": probe,
            "outcome": if is_absence(error) { "absent" } else { "refused" },
            "errno": error.raw_os_error(),
            "evidence": error.to_string(),
        }),
    }
}

/// The line of a probe that gave none.
pub(crate) fn broken(probe: &str, evidence: &str) -> Value {
    json!({ "probe": probe, "outcome": "broken", "errno": null, "evidence": evidence })
}

/// Whether an error says that the kernel, the device or the file is not there at all.
fn is_absence(error: &io::Error) -> bool {
    const ABSENCE: [i32; 9] = [
        libc::ENOENT,
        libc::ENODEV,
        libc::ENXIO,
        libc::ENOSYS,
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
        libc::ESOCKTNOSUPPORT,
        libc::EOPNOTSUPP,
        libc::ENOTDIR,
    ];
    error
        .raw_os_error()
        .is_some_and(|errno| ABSENCE.contains(&errno))
}

/// An error for what the kernel allowed, but gave nothing of the host.
pub(crate) fn nothing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what.to_owned())
}
