//! The slopes that keep cuts, pauses and loops from clicking.

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
