//! The runs of the bench beside each other: medians, ratios to the floor, and whether each aim was met, as Markdown.

use std::fmt::Write as _;

use offhook_tests::load::{Format, LoadReport};

use crate::libopus;
use crate::subject::Subject;
use crate::{Plan, Run};

/// The aims, with the floor's own figure as the unit.
const AIM_PROCESSOR: f64 = 1.7;
const AIM_PROCESSOR_VAD: f64 = 2.0;
const AIM_MEMORY_KIB: f64 = 64.0;
const AIM_GAP_MS: f64 = 2.0;
/// With libopus's own time as the unit.
const AIM_OPUS: f64 = 1.3;

/// The medians as Markdown tables, one a load, and how each aim was met.
pub(crate) fn markdown(plan: &Plan, measured: &str, runs: &[Run]) -> String {
    let mut text = format!(
        "Medians of {} interleaved rounds of {} s; two-way at 20 ms, callers speak 40 % of the time. {measured}.\n",
        plan.rounds,
        plan.window.as_secs()
    );
    for (format, calls) in plan.loads() {
        let _ = write!(
            text,
            "\n### {calls} calls, {}\n\n\
             | program | CPU-s per call-minute | to the floor | RSS, KiB a call | PSS, KiB a call | lost to / from | \
             gap p50 | p99 | p99.9 | worst from 20 ms | failed |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
            format.name()
        );
        let floor = Medians::of(runs, Subject::Floor, format, calls);
        for &subject in &plan.subjects {
            let Some(medians) = Medians::of(runs, subject, format, calls) else {
                continue;
            };
            let ratio = floor.as_ref().map_or("".to_owned(), |floor| {
                format!("{:.2}", medians.processor_s / floor.processor_s)
            });
            let [p50, p99, p999] = medians.gap_ms;
            let _ = writeln!(
                text,
                "| {} | {:.4} | {ratio} | {:.1} | {:.1} | {} / {} | {p50:.2} | {p99:.2} | {p999:.2} | {:.2} | {} |",
                subject.meaning(),
                medians.processor_s,
                medians.resident_kib,
                medians.proportional_kib,
                medians.lost.0,
                medians.lost.1,
                medians.worst_ms,
                medians.failed
            );
        }
        if let Some(floor) = floor {
            text += &match format {
                Format::Pcmu => aims(runs, &floor, calls),
                Format::Opus => aim_of_opus(runs, calls),
                Format::G722 | Format::Srtp => String::new(),
            };
        }
    }
    if let [fewer, .., more] = plan.calls[..] {
        text += &further_calls(plan, runs, fewer, more);
    }
    text
}

/// What each call beyond the smaller load adds, free of what a program sets up once.
fn further_calls(plan: &Plan, runs: &[Run], fewer: usize, more: usize) -> String {
    let mut text = format!("\nResident memory of each further call, from {fewer} to {more}:");
    for &subject in &plan.subjects {
        let resident = |calls| {
            Medians::of(runs, subject, Format::Pcmu, calls)
                .map(|medians| medians.resident_kib * calls as f64)
        };
        if let (Some(low), Some(high)) = (resident(fewer), resident(more)) {
            let kib = (high - low) / (more as f64 - fewer as f64);
            let _ = write!(text, " {} {kib:.1} KiB;", subject.name());
        }
    }
    text.pop();
    text + ".\n"
}

/// What a call in Opus costs beside what libopus itself takes.
fn aim_of_opus(runs: &[Run], calls: usize) -> String {
    let Some(medians) = Medians::of(runs, Subject::Offhook, Format::Opus, calls) else {
        return String::new();
    };
    let own = libopus::processor_s_per_call_minute();
    let ratio = medians.processor_s / own;
    let verdict = if ratio <= AIM_OPUS {
        "met"
    } else {
        "**missed**"
    };
    format!(
        "\n- CPU to libopus's own encoding and decoding ({own:.4} s a call-minute): {ratio:.2}, aim at most {AIM_OPUS}: \
         {verdict}.\n"
    )
}

fn aims(runs: &[Run], floor: &Medians, calls: usize) -> String {
    let mut text = String::from("\n");
    let mut aim = |what: &str, found: f64, limit: f64| {
        let verdict = if found <= limit { "met" } else { "**missed**" };
        let _ = writeln!(
            text,
            "- {what}: {found:.2}, aim at most {limit}: {verdict}."
        );
    };
    if let Some(medians) = Medians::of(runs, Subject::Offhook, Format::Pcmu, calls) {
        aim(
            "CPU to the floor's, VAD off",
            medians.processor_s / floor.processor_s,
            AIM_PROCESSOR,
        );
        aim("KiB a call", medians.resident_kib, AIM_MEMORY_KIB);
        aim(
            "packets lost",
            (medians.lost.0 + medians.lost.1) as f64,
            0.0,
        );
        aim(
            "gap p99 above the floor's, ms",
            medians.gap_ms[1] - floor.gap_ms[1],
            AIM_GAP_MS,
        );
    }
    if let Some(medians) = Medians::of(runs, Subject::OffhookWithVad, Format::Pcmu, calls) {
        aim(
            "CPU to the floor's, VAD on",
            medians.processor_s / floor.processor_s,
            AIM_PROCESSOR_VAD,
        );
    }
    text
}

/// The medians of one program's runs at one load.
struct Medians {
    processor_s: f64,
    resident_kib: f64,
    proportional_kib: f64,
    gap_ms: [f64; 3],
    worst_ms: f64,
    lost: (u64, u64),
    failed: usize,
}

impl Medians {
    fn of(runs: &[Run], subject: Subject, format: Format, calls: usize) -> Option<Self> {
        let reports: Vec<&LoadReport> = runs
            .iter()
            .filter(|run| run.subject == subject && run.format == format && run.calls == calls)
            .map(|run| &run.report)
            .collect();
        let median = |figure: &dyn Fn(&LoadReport) -> f64| {
            let mut figures: Vec<f64> = reports.iter().map(|report| figure(report)).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied()
        };
        Some(Self {
            processor_s: median(&LoadReport::processor_s_per_call_minute)?,
            resident_kib: median(&LoadReport::resident_kib_per_call)?,
            proportional_kib: median(&LoadReport::proportional_kib_per_call)?,
            gap_ms: [
                median(&|report| report.gaps.percentile_ms(0.5))?,
                median(&|report| report.gaps.percentile_ms(0.99))?,
                median(&|report| report.gaps.percentile_ms(0.999))?,
            ],
            worst_ms: median(&|report| report.gaps.largest_deviation_ms(20.0))?,
            // What was lost in any run counts: a median would hide it.
            lost: reports.iter().fold((0, 0), |(to, from), report| {
                (to + report.lost().0, from + report.lost().1)
            }),
            failed: reports.iter().map(|report| report.failed()).sum(),
        })
    }
}
