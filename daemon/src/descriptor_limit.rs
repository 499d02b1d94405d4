//! How many files and sockets this process may have open.

use std::io;

/// A call has a socket for RTP, and a file when it is recorded.
const DESCRIPTORS_A_CALL: u64 = 2;
/// For listeners, logs, pipes to the speech worker, epoll and files being read.
const DESCRIPTORS_BESIDE_CALLS: u64 = 256;

/// Raises the limit as far as the hard limit lets it.
///
/// # Errors
/// When the kernel refuses to say or to set it.
pub fn raise() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit, which the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to a live rlimit, which the call only reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// What to tell an operator whose limit is too small for the calls the configuration allows.
#[must_use]
pub fn shortage(limit: u64, calls: usize) -> Option<String> {
    let needed = calls as u64 * DESCRIPTORS_A_CALL + DESCRIPTORS_BESIDE_CALLS;
    (limit < needed).then(|| {
        let enough_for = limit.saturating_sub(DESCRIPTORS_BESIDE_CALLS) / DESCRIPTORS_A_CALL;
        format!(
            "this process may open {limit} files, enough for {enough_for} calls; limits.calls is {calls}: \
             set LimitNOFILE={needed} in the unit, or ulimit -n {needed}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_small_is_told_with_what_is_needed() {
        assert_eq!(shortage(4096, 1000), None);
        let told = shortage(1024, 1000).unwrap();
        assert!(told.contains("enough for 384 calls"), "{told}");
        assert!(told.contains("LimitNOFILE=2256"), "{told}");
    }

    #[test]
    fn raising_reaches_the_hard_limit_and_stays_there() {
        let raised = raise().unwrap();
        assert_eq!(raise().unwrap(), raised);
    }
}
