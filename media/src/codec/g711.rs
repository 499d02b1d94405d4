//! G.711: both laws by table, built at compile time from the ITU-T definition (G.711, 1988; the
//! linear scale is the upper bits of a 16-bit sample, as in the reference software of G.191).

use super::{CodecError, fitting};

/// Silence of 120 ms in µ-law: positive zero.
static MU_SILENCE: [u8; 960] = [0xFF; 960];
/// Silence of 120 ms in A-law: the smallest positive value, every second bit inverted.
static A_SILENCE: [u8; 960] = [0xD5; 960];

static MU_TO_LINEAR: [i16; 256] = decode_table(Law::Mu);
static A_TO_LINEAR: [i16; 256] = decode_table(Law::A);
/// Indexed by the sample's upper 14 bits: no boundary between µ-law codes is finer than that.
static LINEAR_TO_MU: [u8; 1 << 14] = encode_table::<{ 1 << 14 }>(Law::Mu);
/// Indexed by the sample's upper 12 bits, the resolution of A-law.
static LINEAR_TO_A: [u8; 1 << 12] = encode_table::<{ 1 << 12 }>(Law::A);

/// One of G.711's two companding laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    /// µ-law.
    Mu,
    /// A-law.
    A,
}

impl Law {
    /// One byte a sample.
    pub(super) fn encode(self, samples: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let out = fitting(out, samples.len())?;
        match self {
            Self::Mu => {
                for (byte, sample) in out.iter_mut().zip(samples) {
                    *byte = LINEAR_TO_MU[usize::from(sample.cast_unsigned() >> 2)];
                }
            }
            Self::A => {
                for (byte, sample) in out.iter_mut().zip(samples) {
                    *byte = LINEAR_TO_A[usize::from(sample.cast_unsigned() >> 4)];
                }
            }
        }
        Ok(samples.len())
    }

    /// One sample a byte.
    pub(super) fn decode(self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        if payload.is_empty() {
            return Err(CodecError::Malformed);
        }
        let out = fitting(out, payload.len())?;
        let table = match self {
            Self::Mu => &MU_TO_LINEAR,
            Self::A => &A_TO_LINEAR,
        };
        for (sample, byte) in out.iter_mut().zip(payload) {
            *sample = table[usize::from(*byte)];
        }
        Ok(payload.len())
    }

    /// 120 ms of silence; any prefix of it is silence too.
    pub(super) fn silence(self) -> &'static [u8] {
        match self {
            Self::Mu => &MU_SILENCE,
            Self::A => &A_SILENCE,
        }
    }
}

const fn decode_table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => mu_to_linear(code as u8),
            Law::A => a_to_linear(code as u8),
        };
        code += 1;
    }
    table
}

const fn encode_table<const LENGTH: usize>(law: Law) -> [u8; LENGTH] {
    let step = 65_536 / LENGTH;
    let mut table = [0; LENGTH];
    let mut index = 0;
    while index < LENGTH {
        let sample = ((index * step) as u16).cast_signed();
        table[index] = match law {
            Law::Mu => linear_to_mu(sample),
            Law::A => linear_to_a(sample),
        };
        index += 1;
    }
    table
}

/// Codes are sent inverted; a chord of 16 steps doubles the step, and the bias of 33 (at 14 bits)
/// makes every chord begin at a power of two.
const fn mu_to_linear(code: u8) -> i16 {
    let code = !code;
    let chord = (code >> 4) & 7;
    let step = (code & 0x0F) as i16;
    let magnitude = (((step << 1) + 33) << chord) - 33;
    let magnitude = magnitude << 2;
    if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

const fn linear_to_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = if sample < 0 { !sample } else { sample };
    let biased = (magnitude >> 2) + 33;
    let biased = if biased > 0x1FFF { 0x1FFF } else { biased };
    let chord = 10 - biased.leading_zeros() as u8;
    let step = ((biased >> (chord + 1)) & 0x0F) as u8;
    !(sign | (chord << 4) | step)
}

/// Every second bit is inverted; the two lowest chords share one step size, the others double it.
const fn a_to_linear(code: u8) -> i16 {
    let code = code ^ 0x55;
    let chord = (code >> 4) & 7;
    let step = (code & 0x0F) as i16;
    let magnitude = match chord {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (chord - 1),
    };
    if code & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

const fn linear_to_a(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = if sample < 0 { !sample } else { sample } >> 4;
    let code = if magnitude < 16 {
        magnitude as u8
    } else {
        let chord = 12 - magnitude.leading_zeros() as u8;
        let step = ((magnitude >> (chord - 1)) & 0x0F) as u8;
        (chord << 4) | step
    };
    (sign | code) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_decodes_to_the_values_of_the_standard() {
        // G.711 table 2a, at 16 bits: the chords' ends, both signs.
        let expected = [
            (0xFF, 0),
            (0xFE, 8),
            (0xF0, 120),
            (0xEF, 132),
            (0xE0, 372),
            (0xDF, 396),
            (0xCF, 924),
            (0xBF, 1_980),
            (0xAF, 4_092),
            (0x9F, 8_316),
            (0x8F, 16_764),
            (0x80, 32_124),
            (0x7F, 0),
            (0x7E, -8),
            (0x00, -32_124),
        ];
        for (code, sample) in expected {
            assert_eq!(mu_to_linear(code), sample, "code {code:#04x}");
        }
    }

    #[test]
    fn a_law_decodes_to_the_values_of_the_standard() {
        let expected = [
            (0xD5, 8),
            (0xD4, 24),
            (0xC5, 264),
            (0xF5, 528),
            (0xE5, 1_056),
            (0x95, 2_112),
            (0x85, 4_224),
            (0xB5, 8_448),
            (0xA5, 16_896),
            (0xAA, 32_256),
            (0x55, -8),
            (0x2A, -32_256),
        ];
        for (code, sample) in expected {
            assert_eq!(a_to_linear(code), sample, "code {code:#04x}");
        }
    }

    #[test]
    fn every_code_survives_a_round_trip() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255_u8 {
                let mut sample = [0; 1];
                let mut again = [0; 1];
                law.decode(&[code], &mut sample).unwrap();
                law.encode(&sample, &mut again).unwrap();
                // µ-law's negative zero comes back as the positive one.
                let expected = if law == Law::Mu && code == 0x7F {
                    0xFF
                } else {
                    code
                };
                assert_eq!(again[0], expected, "{law:?}");
            }
        }
    }

    #[test]
    fn every_sample_goes_to_the_code_whose_step_holds_it() {
        for law in [Law::Mu, Law::A] {
            // Beyond these µ-law and A-law clip.
            let loudest = if law == Law::Mu { 32_635 } else { 32_767 };
            for sample in -loudest..=loudest {
                let mut code = [0; 1];
                let mut level = [0; 1];
                law.encode(&[sample], &mut code).unwrap();
                law.decode(&code, &mut level).unwrap();
                let half_step = match law {
                    Law::Mu => 4 << ((!code[0] >> 4) & 7),
                    Law::A => 8 << (((code[0] ^ 0x55) >> 4) & 7).saturating_sub(1),
                };
                let error = (i32::from(level[0]) - i32::from(sample)).abs();
                assert!(error <= half_step, "{law:?} {sample}: off by {error}");
            }
        }
    }

    #[test]
    fn silence_is_the_encoding_of_zero() {
        for law in [Law::Mu, Law::A] {
            let mut out = [0; 160];
            law.encode(&[0; 160], &mut out).unwrap();
            assert_eq!(out, law.silence()[..160]);
        }
    }
}
