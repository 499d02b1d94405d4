//! The slopes that keep cuts, pauses and loops from clicking.

/// How long a loop's end and its beginning are heard together.
pub(super) const LOOP_SEAM_MS: usize = 10;

/// Plays a loop whose end is blended into its beginning: during the last `seam` samples the first ones
/// fade in, and the next round goes on behind them.
pub(crate) fn copy_loop(samples: &[i16], position: &mut usize, seam: usize, out: &mut [i16]) {
    let seam = seam.min(samples.len() / 2);
    let body_end = samples.len() - seam;
    let mut written = 0;
    while written < out.len() {
        if *position < body_end {
            let count = (body_end - *position).min(out.len() - written);
            out[written..written + count].copy_from_slice(&samples[*position..*position + count]);
            written += count;
            *position += count;
        } else {
            let into = *position - body_end;
            let share = (into + 1) as i32;
            let whole = (seam + 1) as i32;
            let ending = i32::from(samples[*position]) * (whole - share);
            let beginning = i32::from(samples[into]) * share;
            out[written] = ((ending + beginning) / whole) as i16;
            written += 1;
            *position += 1;
        }
        if *position == samples.len() || (seam == 0 && *position == body_end) {
            *position = seam;
        }
    }
}

/// `samples` with `beneath` repeated under them, as loud as `decibels` say (-60 to +12): what a bus of its own would
/// make of a second loop, in one. `beneath` goes as far as `samples` do, and its own seams do not click.
#[must_use]
pub fn with_loop_beneath(
    samples: &[i16],
    beneath: &[i16],
    decibels: f32,
    sample_rate_hz: u32,
) -> Vec<i16> {
    if beneath.is_empty() {
        return samples.to_vec();
    }
    let mut repeated = vec![0; samples.len()];
    let seam = LOOP_SEAM_MS * sample_rate_hz as usize / 1_000;
    copy_loop(beneath, &mut 0, seam, &mut repeated);
    let factor = 10f32.powf(decibels.clamp(-60.0, 12.0) / 20.0);
    let sum = |(above, beneath): (&i16, &i16)| {
        // The cast saturates.
        (f32::from(*above) + f32::from(*beneath) * factor).round() as i16
    };
    samples.iter().zip(&repeated).map(sum).collect()
}

/// Scales by a factor that falls in equal steps from `remaining / total`.
pub(crate) fn ramp_down(samples: &mut [i16], remaining: usize, total: usize) {
    for (index, sample) in samples.iter_mut().enumerate() {
        let left = (remaining - index - 1) as i32;
        *sample = (i32::from(*sample) * left / total.max(1) as i32) as i16;
    }
}

/// Scales by a factor that rises in equal steps to one.
pub(crate) fn ramp_up(samples: &mut [i16]) {
    let whole = samples.len() as i32;
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample = (i32::from(*sample) * (index as i32 + 1) / whole) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS_PLAYED: usize = 3;

    fn largest_step(samples: &[i16]) -> f64 {
        samples
            .windows(2)
            .map(|pair| (f64::from(pair[1]) - f64::from(pair[0])).abs())
            .fold(0.0, f64::max)
    }

    /// A tone that ends anywhere in its period, with a second one in it.
    fn tone(hertz: f64, rate: usize, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|index| {
                let phase = std::f64::consts::TAU * hertz * index as f64 / rate as f64;
                (9_000.0 * phase.sin() + 4_000.0 * (phase * 2.7).cos()) as i16
            })
            .collect()
    }

    fn played(samples: &[i16], rate: usize) -> Vec<i16> {
        let mut position = 0;
        let mut out = vec![0; rate * SECONDS_PLAYED];
        for frame in out.chunks_mut(rate / 100) {
            copy_loop(samples, &mut position, LOOP_SEAM_MS * rate / 1_000, frame);
        }
        out
    }

    #[test]
    fn a_loop_whose_ends_do_not_meet_does_not_click() {
        let mut worst = 0.0_f64;
        for rate in [8_000, 16_000, 48_000] {
            for hertz in [60.0, 110.0, 220.0, 313.0, 700.0, 1_130.0] {
                // Every place in the period where the end may fall.
                for place in 0..16 {
                    let length = rate / 2 + place * rate / (hertz as usize * 16);
                    let samples = tone(hertz, rate, length);
                    let heard = largest_step(&played(&samples, rate));
                    let ratio = heard / largest_step(&samples);
                    assert!(
                        ratio <= 1.5,
                        "{hertz} Hz at {rate}, place {place}: {ratio:.2}"
                    );
                    worst = worst.max(ratio);
                }
            }
        }
        // That the measure sees a seam: without one the ends meet in a step.
        let unseamed = (4_000..4_036).map(|length| {
            let samples = tone(220.0, 8_000, length);
            largest_step(&[&samples[..], &samples[..]].concat()) / largest_step(&samples)
        });
        assert!(unseamed.fold(0.0, f64::max) > 3.0);
        println!("the worst seam: {worst:.2} times the material's own step");
    }

    #[test]
    fn what_lies_beneath_repeats_to_the_end_without_a_click_and_as_softly_as_it_should() {
        let above = vec![0; 8_000];
        let beneath = tone(220.0, 8_000, 1_210);
        let both = with_loop_beneath(&above, &beneath, -20.0, 8_000);
        assert_eq!(both.len(), above.len());
        assert!(largest_step(&both) <= 1.5 * largest_step(&beneath) / 10.0 + 1.0);
        assert_eq!(both[100], (f64::from(beneath[100]) / 10.0).round() as i16);
        assert!(both[7_900..].iter().any(|sample| *sample != 0));
        assert_eq!(with_loop_beneath(&beneath, &[], 0.0, 8_000), beneath);
        assert_eq!(
            with_loop_beneath(&[30_000], &[30_000], 0.0, 8_000),
            [i16::MAX]
        );
    }
}
