//! The same work for many files, on as many threads as there are cores.

use std::sync::atomic::{AtomicUsize, Ordering};

/// More threads than this only wait for the disk.
const THREADS_MAX: usize = 8;

/// Does `work` for each number below `count`; the results in that order, or the first error that
/// was met.
pub(super) fn in_parallel<T: Send, E: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let some = || -> Result<Vec<(usize, T)>, E> {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(done);
            }
            // Nobody begins anything after an error.
            let result = work(number).inspect_err(|_| next.store(count, Ordering::Relaxed));
            done.push((number, result?));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(THREADS_MAX).min(count))
            .map(|_| scope.spawn(some))
            .collect();
        let mut done = Vec::with_capacity(count);
        for thread in threads {
            done.extend(thread.join().expect("the work does not panic")?);
        }
        Ok(done)
    })?;
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_order_and_an_error_ends_the_work() {
        let squares = in_parallel(1000, |n| Ok::<_, ()>(n * n)).unwrap();
        assert!(
            squares
                .iter()
                .enumerate()
                .all(|(n, square)| *square == n * n)
        );
        assert_eq!(in_parallel(0, |_| Err::<(), _>(())), Ok(Vec::new()));
        let failed = in_parallel(1000, |n| if n == 500 { Err(n) } else { Ok(()) });
        assert_eq!(failed, Err(500));
    }
}
