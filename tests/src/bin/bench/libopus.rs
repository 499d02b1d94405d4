//! What libopus itself takes for a call: the floor of calls in Opus.

use std::time::Duration;

use offhook_media::codec::{Decoder, Encoder};
use offhook_tests::load::{Format, talkers_samples};

/// Each round encodes and decodes 10 s of a caller; the quickest counts, since others can only slow it down.
const ROUNDS: usize = 5;
const SECONDS: f64 = 10.0;

/// Seconds of processor time to decode and encode one minute of what callers say, with the settings of our legs.
pub(crate) fn processor_s_per_call_minute() -> f64 {
    let codec = Format::Opus.codec();
    let said = talkers_samples(codec.sample_rate_hz());
    let round = || {
        let (Ok(mut encoder), Ok(mut decoder)) = (Encoder::new(&codec), Decoder::new(codec.kind))
        else {
            return f64::NAN;
        };
        let mut payload = vec![0; 1_500];
        let mut heard = vec![0; codec.samples_per_frame()];
        let began = thread_time();
        for frame in said.chunks_exact(codec.samples_per_frame()) {
            let length = encoder.encode(frame, &mut payload).unwrap_or(0);
            let decoded = decoder.decode(&payload[..length], &mut heard);
            std::hint::black_box(decoded.is_ok());
        }
        (thread_time() - began).as_secs_f64() * 60.0 / SECONDS
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is ours and outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
