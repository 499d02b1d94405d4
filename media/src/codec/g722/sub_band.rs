//! One sub-band's adaptive differential coder, at 64 kbit/s (ITU-T G.722 clause 6.2; the block names in
//! comments are its own).
//!
//! Encoder and decoder adapt alike, from the code alone, and so stay in step without being told. All values
//! are 16 bits wide and saturate, which makes the result the same on every machine.

/// The predictor's two poles and six zeros and the quantiser's scale: what both bands have alike.
#[derive(Clone, Debug)]
struct Adaptation {
    /// The scale's logarithm (NB), in 2,048ths of an octave.
    log_scale: i32,
    /// The quantiser's scale (DET).
    scale: i32,
    /// A1 and A2.
    poles: [i32; 2],
    /// B1 to B6.
    zeros: [i32; 6],
    /// The last quantised differences (D), newest first.
    differences: [i32; 6],
    /// The last reconstructions without the poles' share (P), newest first.
    partial: [i32; 2],
    /// The last reconstructions (R), newest first.
    reconstructed: [i32; 2],
    /// The zeros' share of the prediction (SZ).
    zeros_prediction: i32,
    /// The prediction (S).
    prediction: i32,
}

impl Adaptation {
    /// Nothing heard yet, and a quantiser at its finest: `scale`.
    const fn new(scale: i32) -> Self {
        Self {
            log_scale: 0,
            scale,
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            partial: [0; 2],
            reconstructed: [0; 2],
            zeros_prediction: 0,
            prediction: 0,
        }
    }

    /// LOGSCL and SCALEL, or LOGSCH and SCALEH: the scale leaks, and `step` raises it after a large
    /// difference. `octaves` is how far below the table the scale is at its finest.
    fn rescale(&mut self, step: i32, highest: i32, octaves: i32) {
        self.log_scale = (multiply(self.log_scale, 32_512) + step).clamp(0, highest);
        let mantissa = EXPONENTIAL[usize::from((self.log_scale >> 6 & 31) as u8)];
        let shift = octaves - (self.log_scale >> 11);
        let linear = if shift < 0 {
            mantissa << -shift
        } else {
            mantissa >> shift
        };
        self.scale = linear << 2;
    }

    /// Block 4: takes the quantised `difference` and predicts the next sample.
    fn predict(&mut self, difference: i32) {
        let reconstructed = saturate(self.prediction + difference);
        let partial = saturate(self.zeros_prediction + difference);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.partial = [partial, self.partial[0]];
        self.reconstructed = [reconstructed, self.reconstructed[0]];

        // FILTEP, FILTEZ, PREDIC. The sums are made from the oldest on, since each of them saturates.
        let doubled = |value: i32| saturate(value << 1);
        let [first, second] = self.reconstructed;
        let poles_prediction = saturate(
            multiply(self.poles[0], doubled(first)) + multiply(self.poles[1], doubled(second)),
        );
        let products = self.differences.iter().zip(&self.zeros).rev();
        self.zeros_prediction = products.fold(0, |sum, (difference, zero)| {
            saturate(sum + multiply(*zero, doubled(*difference)))
        });
        self.prediction = saturate(poles_prediction + self.zeros_prediction);
    }

    /// UPPOL2 and UPPOL1.
    fn adapt_poles(&mut self, partial: i32) {
        let [first, second] = self.poles;
        let is_like_last = is_negative(partial) == is_negative(self.partial[0]);
        let is_like_one_before = is_negative(partial) == is_negative(self.partial[1]);
        let push = saturate(first << 2);
        let push = saturate(if is_like_last { -push } else { push });
        let step = (push >> 7) + if is_like_one_before { 128 } else { -128 };
        let second = saturate(step + multiply(second, 32_512)).clamp(-12_288, 12_288);
        let step = if is_like_last { 192 } else { -192 };
        let limit = 15_360 - second;
        let first = saturate(step + multiply(first, 32_640)).clamp(-limit, limit);
        self.poles = [first, second];
    }

    /// UPZERO.
    fn adapt_zeros(&mut self, difference: i32) {
        for (zero, past) in self.zeros.iter_mut().zip(&self.differences) {
            let step = match (difference, is_negative(difference) == is_negative(*past)) {
                (0, _) => 0,
                (_, true) => 128,
                (_, false) => -128,
            };
            *zero = saturate(step + multiply(*zero, 32_640));
        }
    }
}

/// The lower band, 0 to 4 kHz: six bits a sample, of which the predictor uses the upper four.
#[derive(Clone, Debug)]
pub(super) struct LowBand(Adaptation);

impl LowBand {
    pub(super) const fn new() -> Self {
        Self(Adaptation::new(32))
    }

    /// The code, 4 to 63, of a sample of 15 bits.
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        // SUBTRA, QUANTL
        let error = saturate(sample - self.0.prediction);
        let magnitude = if error < 0 { !error } else { error };
        let scale = self.0.scale;
        let is_above = |threshold: &&i32| magnitude >= (**threshold * scale) >> 12;
        let level = LOW_THRESHOLDS.iter().take_while(is_above).count() as u8;
        let code = match (error < 0, level) {
            (false, _) => 61 - level,
            (true, 0..=1) => 63 - level,
            (true, _) => 33 - level,
        };
        self.adapt(code);
        code
    }

    /// The sample, of 15 bits, of a code of which the lower six bits count.
    pub(super) fn decode(&mut self, code: u8) -> i32 {
        // INVQBL, RECONS, LIMIT
        let (is_negative, level) = match code & 63 {
            0..=3 => (true, 0),
            code @ 4..=31 => (true, 33 - code),
            code @ 32..=61 => (false, 61 - code),
            code => (true, 63 - code),
        };
        let difference = self.quantised(is_negative, LOW_LEVELS[usize::from(level)]);
        let sample = (self.0.prediction + difference).clamp(-16_384, 16_383);
        self.adapt(code);
        sample
    }

    /// INVQAL, LOGSCL, SCALEL and the predictor: from the code's upper four bits, so that both sides adapt
    /// alike where bits are taken for data.
    fn adapt(&mut self, code: u8) {
        let (is_negative, level) = match code >> 2 & 15 {
            0 => (false, 0),
            upper @ 1..=7 => (true, 8 - upper),
            upper => (false, 15 - upper),
        };
        let level = usize::from(level);
        let difference = self.quantised(is_negative, LOW_PREDICTOR_LEVELS[level]);
        self.0.rescale(LOW_SCALE_STEPS[level], 18_432, 8);
        self.0.predict(difference);
    }

    fn quantised(&self, is_negative: bool, level: i32) -> i32 {
        multiply(self.0.scale, if is_negative { -level } else { level })
    }
}

/// The higher band, 4 to 8 kHz: two bits a sample.
#[derive(Clone, Debug)]
pub(super) struct HighBand(Adaptation);

impl HighBand {
    pub(super) const fn new() -> Self {
        Self(Adaptation::new(8))
    }

    /// The code, 0 to 3, of a sample of 15 bits.
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        // SUBTRA, QUANTH
        let error = saturate(sample - self.0.prediction);
        let magnitude = if error < 0 { !error } else { error };
        let is_large = magnitude >= (HIGH_THRESHOLD * self.0.scale) >> 12;
        let code = u8::from(error >= 0) << 1 | u8::from(!is_large);
        self.adapt(code);
        code
    }

    /// The sample, of 15 bits, of a code of which the lower two bits count.
    pub(super) fn decode(&mut self, code: u8) -> i32 {
        // RECONS, LIMIT
        let sample = (self.0.prediction + self.quantised(code)).clamp(-16_384, 16_383);
        self.adapt(code);
        sample
    }

    /// LOGSCH, SCALEH and the predictor.
    fn adapt(&mut self, code: u8) {
        let difference = self.quantised(code);
        let step = if code & 1 == 0 { 798 } else { -214 };
        self.0.rescale(step, 22_528, 10);
        self.0.predict(difference);
    }

    /// INVQAH.
    fn quantised(&self, code: u8) -> i32 {
        let level = if code & 1 == 0 { 7_408 } else { 1_616 };
        multiply(self.0.scale, if code & 2 == 0 { -level } else { level })
    }
}

/// The product of two fractions of 15 bits.
const fn multiply(a: i32, b: i32) -> i32 {
    (a * b) >> 15
}

const fn is_negative(value: i32) -> bool {
    value < 0
}

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// Where the lower band's quantiser goes from one level to the next, in 4,096ths of the scale.
const LOW_THRESHOLDS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023,
    1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// The lower band's levels, in 32,768ths of the scale.
const LOW_LEVELS: [i32; 30] = [
    136, 432, 728, 1_040, 1_360, 1_688, 2_032, 2_400, 2_776, 3_168, 3_576, 4_008, 4_464, 4_944,
    5_456, 6_000, 6_576, 7_192, 7_856, 8_576, 9_360, 10_232, 11_192, 12_280, 13_512, 14_984,
    16_704, 19_008, 21_904, 24_808,
];
/// The levels as its predictor sees them.
const LOW_PREDICTOR_LEVELS: [i32; 8] = [0, 1_200, 2_584, 4_240, 6_288, 8_968, 12_896, 20_456];
/// What each of those does to the scale's logarithm.
const LOW_SCALE_STEPS: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1_198, 3_042];
/// Where the higher band's quantiser goes from the small level to the large one.
const HIGH_THRESHOLD: i32 = 564;
/// One octave in 32 steps, from 2,048.
const EXPONENTIAL: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The second of the Recommendation's digital test sequences (Appendix II.3, T1C2): the loudest square
    /// waves there are, so that everything that can saturate does. Its words have 15 bits, and the lowest is
    /// set where the coder is to be as new.
    fn overflowing_sequence() -> Vec<u16> {
        let mut words = vec![1; 16];
        words.extend([0x8000, 0x7FFE].repeat(319));
        words.extend([0x8000, 0x0000, 0xB1E0, 0xC000]);
        words.extend([0x8000, 0x7FFE, 0x8000].repeat(42));
        words.extend([1; 16]);
        words
    }

    /// The checksum that the ITU publishes for its files: CRC-32 of the words, lower byte first.
    fn crc_32(words: &[u16]) -> u32 {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        !bytes.fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                let polynomial = if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
                crc >> 1 ^ polynomial
            })
        })
    }

    const BEGIN_ANEW: u16 = 1;

    fn codes_of(words: &[u16]) -> Vec<u16> {
        let (mut low, mut high) = (LowBand::new(), HighBand::new());
        let code = |word: &u16| {
            if *word == BEGIN_ANEW {
                (low, high) = (LowBand::new(), HighBand::new());
                return BEGIN_ANEW;
            }
            let sample = i32::from(word.cast_signed()) >> 1;
            let code = high.encode(sample) << 6 | low.encode(sample);
            u16::from(code) << 8
        };
        words.iter().map(code).collect()
    }

    #[test]
    fn the_encoder_gives_the_codes_of_the_itu_test_sequence() {
        let words = overflowing_sequence();
        assert_eq!(crc_32(&words), 0x2D60_4685, "T1C2.XMT");
        assert_eq!(crc_32(&codes_of(&words)), 0x344E_A5D0, "T2R2.COD");
    }

    #[test]
    fn the_decoder_gives_the_samples_of_the_itu_test_sequence() {
        let codes = codes_of(&overflowing_sequence());
        let (mut low, mut high) = (LowBand::new(), HighBand::new());
        let (mut lows, mut highs) = (Vec::new(), Vec::new());
        for word in codes {
            if word == BEGIN_ANEW {
                (low, high) = (LowBand::new(), HighBand::new());
                lows.push(BEGIN_ANEW);
                highs.push(BEGIN_ANEW);
                continue;
            }
            let code = (word >> 8) as u8;
            lows.push((low.decode(code) << 1) as u16);
            highs.push((high.decode(code >> 6) << 1) as u16);
        }
        assert_eq!(crc_32(&lows), 0xAF00_F31F, "T3L2.RC1");
        assert_eq!(crc_32(&highs), 0x5330_AE2E, "T3H2.RC0");
    }
}
