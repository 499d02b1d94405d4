//! Where one sound ends and another begins, in one frame of 10 ms, so that no step is heard.

/// Lets `before` pass into the front of `after`, over the length of the shorter one.
pub(crate) fn pass_into(before: &[i16], after: &mut [i16]) {
    let length = before.len().min(after.len());
    let steps = i32::try_from(length).unwrap_or(i32::MAX) + 1;
    for ((index, sample), before) in (1..).zip(after.iter_mut()).zip(&before[..length]) {
        let (before, after) = (i32::from(*before), i32::from(*sample));
        // Between two samples, so it is one.
        *sample = (before + (after - before) * index / steps) as i16;
    }
}

/// Fills `out` with the end of `before`, 10 ms at whatever rate, played backwards and fading: it goes on where that
/// ended, without a step.
pub(crate) fn backwards(before: &[i16], out: &mut [i16]) {
    let length = out.len() as f32;
    let Some(newest) = before.len().checked_sub(1) else {
        return;
    };
    for (index, sample) in out.iter_mut().enumerate() {
        let back = index as f32 * before.len() as f32 / length;
        let at = |back: usize| f32::from(before[newest.saturating_sub(back)]);
        let (newer, older) = (at(back as usize), at(back as usize + 1));
        let between = newer + (older - newer) * back.fract();
        *sample = (between * (1.0 - index as f32 / length)) as i16;
    }
}
