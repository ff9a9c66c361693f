//! The clock: set to what it shows, which needs the same right as any other time.

use crate::outcome::Attempt;
use crate::registry::Probe;
use crate::sys::call;

const ADJ_SETOFFSET: u32 = 0x0100;

pub(crate) const PROBES: &[Probe] = &[
    Probe::host("clock-settime", settime),
    Probe::host("clock-adjtime", adjtime),
    Probe::host("settimeofday", settimeofday),
];

fn settime() -> Attempt {
    let mut now = [0_i64; 2];
    call!(libc::SYS_clock_gettime, libc::CLOCK_REALTIME, &mut now[..])?;
    call!(libc::SYS_clock_settime, libc::CLOCK_REALTIME, &now[..])?;
    Ok("set the clock".to_owned())
}

/// Moves the clock by nothing.
fn adjtime() -> Attempt {
    let mut change = [0_u32; 64];
    change[0] = ADJ_SETOFFSET;
    call!(
        libc::SYS_clock_adjtime,
        libc::CLOCK_REALTIME,
        &mut change[..]
    )?;
    Ok("moved the clock".to_owned())
}

/// Says that the time zone is UTC.
fn settimeofday() -> Attempt {
    let zone = [0_i32; 2];
    call!(libc::SYS_settimeofday, 0, &zone[..])?;
    Ok("set the time zone".to_owned())
}
