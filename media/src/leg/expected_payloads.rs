//! Which payload types belong to this call.

use super::LegConfig;

/// The payload types that were agreed on: packets of others prove nothing about their sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedPayloads {
    /// One bit a type.
    types: u128,
}

impl ExpectedPayloads {
    pub(crate) fn new(config: &LegConfig) -> Self {
        let also = config
            .also_accepted
            .iter()
            .map(|(payload_type, _)| *payload_type);
        let types = also
            .chain([config.codec.payload_type_receive])
            .chain(
                config
                    .telephone_event
                    .map(|event| event.payload_type_receive),
            )
            .fold(1 << COMFORT_NOISE, |types, payload_type| {
                types | 1 << payload_type.get()
            });
        Self { types }
    }

    pub(crate) fn contains(self, payload_type: u8) -> bool {
        payload_type < 128 && self.types & 1 << payload_type != 0
    }
}

/// RFC 3389 comfort noise, which may come beside any codec of its rate.
const COMFORT_NOISE: u8 = 13;
