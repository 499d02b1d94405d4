//! Metrics: the names, and their text for Prometheus.
//!
//! Whoever counts calls `metrics::counter!` with a name from here. Nothing is labelled with what a
//! caller can choose: labels are trunks, agents and small closed sets.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Calls that are up or being set up.
pub const CALLS_LIVE: &str = "offhook_calls_live";
/// Calls that ended; labels `trunk`, `agent`, `cause`.
pub const CALLS_ENDED: &str = "offhook_calls_ended_total";
/// Who answered calls of ours whose answerer is found out, by `verdict`.
pub const VOICEMAIL_VERDICTS: &str = "offhook_voicemail_verdicts_total";
/// Calls refused before an agent saw them; labels `status`, `reason`.
pub const CALLS_REFUSED: &str = "offhook_calls_refused_total";
/// Transfers that are over; label `outcome`.
pub const TRANSFERS: &str = "offhook_transfers_total";
/// From the INVITE to our 200, in seconds.
pub const ANSWER_SECONDS: &str = "offhook_answer_seconds";
/// SIP messages by `direction` (`in`, `out`).
pub const SIP_MESSAGES: &str = "offhook_sip_messages_total";
/// SIP datagrams dropped, by `reason`.
pub const SIP_DROPPED: &str = "offhook_sip_dropped_total";
/// TCP and TLS connections that are live or being opened.
pub const SIP_CONNECTIONS: &str = "offhook_sip_connections";
/// Connections that began, by `transport` and `opener` (`them`, `us`).
pub const SIP_CONNECTIONS_BEGUN: &str = "offhook_sip_connections_begun_total";
/// Connections that ended, by `reason`.
pub const SIP_CONNECTIONS_ENDED: &str = "offhook_sip_connections_ended_total";
/// Connections that a limit closed, by `limit`.
pub const SIP_CONNECTIONS_REFUSED: &str = "offhook_sip_connections_refused_total";
/// SIP messages over their source's rate, let in without new calls.
pub const SIP_SHED: &str = "offhook_sip_shed_total";
/// Sources that were banned for sending garbage.
pub const SIP_BANS: &str = "offhook_sip_bans_total";
/// RTP packets by `direction`.
pub const RTP_PACKETS: &str = "offhook_rtp_packets_total";
/// RTP packets that never came.
pub const RTP_LOST: &str = "offhook_rtp_lost_total";
/// RTCP packets by `direction`.
pub const RTCP_PACKETS: &str = "offhook_rtcp_packets_total";
/// How a call sounded in all, by the E-model, 1 to 4.5; label `direction`: `in` is the far end's voice here, `out` ours
/// there.
pub const CALL_MOS: &str = "offhook_call_mos";
/// A call's round trip as measured last, in seconds.
pub const ROUND_TRIP_SECONDS: &str = "offhook_round_trip_seconds";
/// SIP messages that repeat one, by `direction`.
pub const SIP_RETRANSMISSIONS: &str = "offhook_sip_retransmissions_total";
/// SIP transactions that are live.
pub const SIP_TRANSACTIONS: &str = "offhook_sip_transactions";
/// Whether a trunk answers OPTIONS.
pub const TRUNK_UP: &str = "offhook_trunk_up";
/// RTP datagrams that never reached a call, by `reason`.
pub const RTP_REFUSED: &str = "offhook_rtp_refused_total";
/// What full queues of the media path lost, by `what`.
pub const MEDIA_DROPPED: &str = "offhook_media_dropped_total";
/// Recordings whose file was begun.
pub const RECORDINGS_BEGUN: &str = "offhook_recordings_begun_total";
/// Recordings that are not what they should be, by `reason`: `queue` and `create` have no file, `write` and `removed`
/// ended early, `consent` holds nothing because its caller could not be told.
pub const RECORDINGS_FAILED: &str = "offhook_recordings_failed_total";
/// Webhooks that were asked, by `outcome`: `answered`, `refused`, `timed_out`, `unavailable`, `overloaded`.
pub const WEBHOOKS: &str = "offhook_webhooks_total";
/// From a caller's last voiced frame to the agent's first, of turns that were answered.
pub const TURN_SECONDS: &str = "offhook_turn_seconds";
/// Turns of callers, by what became of them.
pub const TURNS: &str = "offhook_turns_total";
/// RTP packets the kernel refused to send.
pub const RTP_SEND_FAILURES: &str = "offhook_rtp_send_failures_total";
/// Frame slots a media thread was late for.
pub const MEDIA_LATE_TICKS: &str = "offhook_media_late_ticks_total";
/// Log entries dropped because their queue was full.
pub const LOG_ENTRIES_DROPPED: &str = "offhook_log_entries_dropped_total";

/// Bytes that the program has allocated and not given back.
pub const MEMORY_LIVE: &str = "offhook_memory_live_bytes";
/// Bytes of memory that its allocator keeps for it.
pub const MEMORY_RESIDENT: &str = "offhook_memory_resident_bytes";

/// Bounds of [`ANSWER_SECONDS`]: we answer within milliseconds or something is wrong.
const ANSWER_BUCKETS: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0];

/// Bounds of [`CALL_MOS`]: the classes of G.107 annex B (below 2.6 nearly all are dissatisfied, from 4.3 on all are very
/// satisfied).
const MOS_BUCKETS: [f64; 7] = [1.5, 2.0, 2.6, 3.1, 3.6, 4.0, 4.3];

/// Bounds of [`ROUND_TRIP_SECONDS`]: from 0.3 on people talk over each other.
const ROUND_TRIP_BUCKETS: [f64; 8] = [0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0];

/// Bounds of [`TURN_SECONDS`]: people answer each other within a fifth of a second; beyond two they ask whether anybody
/// is there.
const TURN_BUCKETS: [f64; 9] = [0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0];

/// The recorder of this process.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Makes the recorder that all counting in this process goes to; `None` when there is one already.
    pub(super) fn install() -> Option<Self> {
        let this = Self::with_recorder(|recorder| metrics::set_global_recorder(recorder).ok())?;
        describe();
        Some(this)
    }

    /// Metrics that no counting reaches, for listeners that are tested alone.
    #[cfg(test)]
    pub(crate) fn unconnected() -> Self {
        Self::with_recorder(|_| Some(())).expect("the closure returns Some")
    }

    fn with_recorder(
        install: impl FnOnce(metrics_exporter_prometheus::PrometheusRecorder) -> Option<()>,
    ) -> Option<Self> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(ANSWER_SECONDS.to_owned()), &ANSWER_BUCKETS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Full(CALL_MOS.to_owned()), &MOS_BUCKETS)
            })
            .and_then(|builder| {
                let round_trip = Matcher::Full(ROUND_TRIP_SECONDS.to_owned());
                builder.set_buckets_for_metric(round_trip, &ROUND_TRIP_BUCKETS)
            })
            .and_then(|builder| {
                let turn = Matcher::Full(TURN_SECONDS.to_owned());
                builder.set_buckets_for_metric(turn, &TURN_BUCKETS)
            })
            .expect("the lists of buckets are not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        install(recorder)?;
        Some(Self { handle })
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        look_at_memory();
        self.handle.render()
    }

    /// Folds recorded samples together; to be called every few seconds whether anybody reads or not.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// Only when somebody asks: counting costs the allocator a walk over its arenas.
fn look_at_memory() {
    use tikv_jemalloc_ctl::{epoch, stats};
    // Its figures stand still until the epoch moves. Where it does not count, nothing is said.
    if epoch::advance().is_err() {
        return;
    }
    if let (Ok(live), Ok(resident)) = (stats::allocated::read(), stats::resident::read()) {
        gauge!(MEMORY_LIVE).set(live as f64);
        gauge!(MEMORY_RESIDENT).set(resident as f64);
    }
}

fn describe() {
    describe_gauge!(
        MEMORY_LIVE,
        Unit::Bytes,
        "Memory that is allocated and not given back."
    );
    describe_gauge!(
        MEMORY_RESIDENT,
        Unit::Bytes,
        "Memory that the allocator keeps."
    );
    describe_gauge!(CALLS_LIVE, "Calls that are up or being set up.");
    describe_counter!(WEBHOOKS, "Webhooks that were asked.");
    describe_counter!(CALLS_ENDED, "Calls that ended.");
    describe_counter!(TURNS, "Turns of conversations.");
    describe_histogram!(
        TURN_SECONDS,
        Unit::Seconds,
        "From a caller's last voiced frame to the agent's first."
    );
    describe_counter!(
        VOICEMAIL_VERDICTS,
        "Who answered calls of ours, where that is found out."
    );
    describe_counter!(CALLS_REFUSED, "Calls refused before an agent saw them.");
    describe_counter!(TRANSFERS, "Transfers that are over.");
    describe_histogram!(ANSWER_SECONDS, Unit::Seconds, "From the INVITE to our 200.");
    describe_counter!(SIP_MESSAGES, "SIP messages.");
    describe_counter!(SIP_DROPPED, "SIP datagrams dropped.");
    describe_gauge!(
        SIP_CONNECTIONS,
        "TCP and TLS connections that are live or being opened."
    );
    describe_counter!(SIP_CONNECTIONS_BEGUN, "TCP and TLS connections that began.");
    describe_counter!(SIP_CONNECTIONS_ENDED, "TCP and TLS connections that ended.");
    describe_counter!(
        SIP_CONNECTIONS_REFUSED,
        "TCP and TLS connections that a limit closed."
    );
    describe_counter!(
        SIP_SHED,
        "SIP messages over their source's rate, let in without new calls."
    );
    describe_counter!(SIP_BANS, "Sources banned for sending garbage.");
    describe_counter!(RTP_PACKETS, "RTP packets.");
    describe_counter!(RTP_LOST, "RTP packets that never came.");
    describe_counter!(RTCP_PACKETS, "RTCP packets.");
    describe_histogram!(CALL_MOS, "How calls sounded, by the E-model, 1 to 4.5.");
    describe_histogram!(
        ROUND_TRIP_SECONDS,
        Unit::Seconds,
        "Calls' round trip, by RTCP."
    );
    describe_counter!(SIP_RETRANSMISSIONS, "SIP messages that repeat one.");
    describe_gauge!(SIP_TRANSACTIONS, "SIP transactions that are live.");
    describe_gauge!(
        TRUNK_UP,
        "1 where a trunk answers OPTIONS, 0 where it missed several in a row."
    );
    describe_counter!(RTP_REFUSED, "RTP datagrams that never reached a call.");
    describe_counter!(MEDIA_DROPPED, "What full queues of the media path lost.");
    describe_counter!(RECORDINGS_BEGUN, "Recordings whose file was begun.");
    describe_counter!(
        RECORDINGS_FAILED,
        "Recordings that were not begun, ended early, or hold nothing."
    );
    describe_counter!(RTP_SEND_FAILURES, "RTP packets the kernel refused to send.");
    describe_counter!(MEDIA_LATE_TICKS, "Frame slots a media thread was late for.");
    describe_counter!(
        LOG_ENTRIES_DROPPED,
        "Log entries dropped because their queue was full."
    );
}
