//! What a run of the load found, as a table's row and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Gaps;
use crate::process_gauge::Memory;

/// One run's findings. Counts cover the measured window only, failures the whole run.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// Calls asked for.
    pub calls: usize,
    /// Calls that were answered.
    pub up: usize,
    /// Calls that failed at any time, by reason.
    pub failures: BTreeMap<String, usize>,
    /// Length of the window.
    pub seconds: f64,
    /// Processor time of the peer in the window, in seconds.
    pub processor_s: f64,
    /// The peer's memory before the first call.
    pub idle_memory: Memory,
    /// The peer's memory at the end of the window, all calls up.
    pub loaded_memory: Memory,
    /// RTP packets we sent.
    pub sent: u64,
    /// RTP packets the kernel would not take from us.
    pub not_sent: u64,
    /// RTP packets that came.
    pub received: u64,
    /// Packets to the peer that its sockets had no room for.
    pub dropped_by_peer: u64,
    /// Packets to us that our sockets had no room for.
    pub dropped_by_us: u64,
    /// Sequence numbers of the peer that never came. An echo that returns our own numbers shows loss both ways here.
    pub missing: u64,
    /// Packets of ours that carried speech.
    pub speech_sent: u64,
    /// Packets of the peer that were audible.
    pub audible: u64,
    /// Times between a call's packets, by the kernel's receive stamps.
    pub gaps: Gaps,
    /// From the first packet of speech of a caller over whom the peer was talking to the last of the peer's that
    /// held sound.
    pub fell_silent: Gaps,
    /// Talkspurts over a talking peer that had not fallen silent when they ended.
    pub unheeded: u64,
    /// From a caller's last packet with voice to the first of the peer's that held sound, less what the plan takes off.
    pub answered: Gaps,
    /// Talkspurts that had no answer when the caller spoke again.
    pub unanswered: u64,
    /// How late we were with our own packets.
    pub late: Gaps,
}

impl LoadReport {
    /// Processor seconds the peer used for one call of one minute.
    pub fn processor_s_per_call_minute(&self) -> f64 {
        self.processor_s / (self.up.max(1) as f64 * self.seconds / 60.0)
    }

    /// Resident memory the calls added, in KiB a call.
    pub fn resident_kib_per_call(&self) -> f64 {
        per_call_kib(
            self.idle_memory.resident,
            self.loaded_memory.resident,
            self.up,
        )
    }

    /// Proportional memory the calls added, in KiB a call.
    pub fn proportional_kib_per_call(&self) -> f64 {
        per_call_kib(
            self.idle_memory.proportional,
            self.loaded_memory.proportional,
            self.up,
        )
    }

    /// Packets lost towards the peer and from it.
    pub fn lost(&self) -> (u64, u64) {
        (self.dropped_by_peer + self.not_sent, self.missing)
    }

    /// Calls that failed.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// The head of the table that [`LoadReport::row`] fills. Times in milliseconds, memory in KiB.
    pub const HEAD: &'static str = "program           calls  failed  cpu-s/call-min  RSS/call  PSS/call  lost to  lost from  \
                                    gap p50  gap p99  p99.9  worst±  late p99  heard";

    /// One row under [`LoadReport::HEAD`].
    pub fn row(&self, program: &str) -> String {
        let (to, from) = self.lost();
        format!(
            "{program:<17} {:>5} {:>7} {:>15.4} {:>9.1} {:>9.1} {to:>8} {from:>10} {:>8.2} {:>8.2} {:>6.2} {:>7.2} {:>9.2} {:>5.0}%",
            self.up,
            self.failed(),
            self.processor_s_per_call_minute(),
            self.resident_kib_per_call(),
            self.proportional_kib_per_call(),
            self.gaps.percentile_ms(0.5),
            self.gaps.percentile_ms(0.99),
            self.gaps.percentile_ms(0.999),
            self.gaps.largest_deviation_ms(20.0),
            self.late.percentile_ms(0.99),
            100.0 * self.audible as f64 / self.received.max(1) as f64,
        )
    }

    /// The same and the raw counts as one JSON object.
    pub fn json(&self, program: &str) -> String {
        let mut text = format!("{{\"program\":{program:?}");
        let failures: Vec<String> = self
            .failures
            .iter()
            .map(|(why, count)| format!("{why:?}:{count}"))
            .collect();
        for (name, value) in [
            ("calls", self.calls as f64),
            ("up", self.up as f64),
            ("seconds", self.seconds),
            ("processor_s", self.processor_s),
            (
                "processor_s_per_call_minute",
                self.processor_s_per_call_minute(),
            ),
            ("idle_resident_bytes", self.idle_memory.resident as f64),
            ("loaded_resident_bytes", self.loaded_memory.resident as f64),
            ("resident_kib_per_call", self.resident_kib_per_call()),
            (
                "proportional_kib_per_call",
                self.proportional_kib_per_call(),
            ),
            ("sent", self.sent as f64),
            ("not_sent", self.not_sent as f64),
            ("received", self.received as f64),
            ("dropped_by_peer", self.dropped_by_peer as f64),
            ("dropped_by_us", self.dropped_by_us as f64),
            ("missing", self.missing as f64),
            ("speech_sent", self.speech_sent as f64),
            ("audible", self.audible as f64),
            ("gap_p50_ms", self.gaps.percentile_ms(0.5)),
            ("gap_p99_ms", self.gaps.percentile_ms(0.99)),
            ("gap_p999_ms", self.gaps.percentile_ms(0.999)),
            (
                "gap_worst_deviation_ms",
                self.gaps.largest_deviation_ms(20.0),
            ),
            ("own_lateness_p99_ms", self.late.percentile_ms(0.99)),
        ] {
            // Writing to a String cannot fail.
            let _ = write!(text, ",\"{name}\":{value}");
        }
        text + &format!(",\"failures\":{{{}}}}}", failures.join(","))
    }
}

fn per_call_kib(idle: u64, loaded: u64, calls: usize) -> f64 {
    (loaded as f64 - idle as f64) / 1024.0 / calls.max(1) as f64
}
