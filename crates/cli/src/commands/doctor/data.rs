//! The data directory.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::check::Check;

const GROUP: &str = "data";

pub(super) fn checks(data_dir: &Path) -> Vec<Check> {
    let shown = data_dir.display();
    let metadata = match std::fs::metadata(data_dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Check::ok(
                GROUP,
                "directory",
                format!("{shown}, made by the first start"),
            )];
        }
        Err(error) => {
            let fix = "Name another one with --data-dir, or run as its owner";
            return vec![Check::fail(
                GROUP,
                "directory",
                format!("{shown}: {error}"),
                fix,
            )];
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    let directory = if mode & 0o077 == 0 {
        Check::ok(GROUP, "directory", format!("{shown}, mode {mode:04o}"))
    } else {
        let fix = format!("chmod 700 {shown}");
        Check::warn(
            GROUP,
            "directory",
            format!("{shown}, mode {mode:04o}, open to others"),
            fix,
        )
    };
    vec![directory, runs(data_dir)]
}

/// State of runs that are active now, or that a stopped server left.
fn runs(data_dir: &Path) -> Check {
    let runs = std::fs::read_dir(data_dir.join("runner").join("runs"));
    match runs.map(Iterator::count) {
        Ok(0) | Err(_) => Check::ok(GROUP, "runs", "nothing is left over"),
        Ok(count) => {
            let detail = format!("{count} active or left over; the next start cleans up");
            Check::ok(GROUP, "runs", detail)
        }
    }
}
