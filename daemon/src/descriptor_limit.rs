//! How many files and sockets this process may have open.

use std::io;

/// A call has a socket for RTP, one for RTCP where the far end does not take both on one port, a file when it is
/// recorded, and one when its caller leaves a message.
const DESCRIPTORS_A_CALL: u64 = 4;
/// For listeners, logs, pipes to the speech worker, webhooks, epoll and files being read.
const DESCRIPTORS_BESIDE_CALLS: u64 = 320;

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
        assert_eq!(shortage(4_320, 1_000), None);
        let told = shortage(1_024, 1_000).unwrap();
        assert!(told.contains("enough for 176 calls"), "{told}");
        assert!(told.contains("LimitNOFILE=4320"), "{told}");
    }

    #[test]
    fn raising_reaches_the_hard_limit_and_stays_there() {
        let raised = raise().unwrap();
        assert_eq!(raise().unwrap(), raised);
    }
}
