//! A fuzzer's bytes as a script: what happens, one thing after the other.

/// What is left of the bytes. Every byte is used as it is, so that a fuzzer's small change is a small change.
pub(crate) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The next byte; `None` at the end.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The next two bytes; `None` at the end.
    pub(crate) fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// The next four bytes; `None` at the end.
    pub(crate) fn long(&mut self) -> Option<u32> {
        Some(u32::from(self.word()?) << 16 | u32::from(self.word()?))
    }

    /// Bytes behind their length of two bytes (up to 2,047); fewer at the end.
    pub(crate) fn piece(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.word()? & 0x07ff).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(piece)
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}
