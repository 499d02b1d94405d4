//! Ogg's pages (RFC 3533): whether a file is whole, and what it holds.

use super::AudioFileError;

/// Of a page's header, without the table of segments.
const HEADER: usize = 27;
const CONTINUED: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;

/// One page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    flags: u8,
    /// How many samples end with the last packet that ends here; -1 where none does.
    pub(super) granule: i64,
    pub(super) serial: u32,
    segments: &'a [u8],
    body: &'a [u8],
}

impl Page<'_> {
    /// Whether it is the last page of its stream.
    pub(super) fn is_last(&self) -> bool {
        self.flags & LAST != 0
    }
}

/// The pages of a file, in order; the first that is not whole is the last item.
#[derive(Clone, Debug)]
pub(super) struct Pages<'a> {
    rest: &'a [u8],
}

impl<'a> Pages<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Pages<'a> {
    type Item = Result<Page<'a>, AudioFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let page = read_page(self.rest);
        self.rest = match &page {
            Ok(page) => &self.rest[HEADER + page.segments.len() + page.body.len()..],
            Err(_) => &[],
        };
        Some(page)
    }
}

fn read_page(bytes: &[u8]) -> Result<Page<'_>, AudioFileError> {
    let header = bytes
        .first_chunk::<HEADER>()
        .ok_or(AudioFileError::CutOff)?;
    if !header.starts_with(b"OggS\0") {
        return Err(damaged("a page of Ogg does not begin where one should"));
    }
    let segments = bytes
        .get(HEADER..HEADER + usize::from(header[26]))
        .ok_or(AudioFileError::CutOff)?;
    let begin = HEADER + segments.len();
    let length: usize = segments.iter().copied().map(usize::from).sum();
    let body = bytes
        .get(begin..begin + length)
        .ok_or(AudioFileError::CutOff)?;
    let mut number = [0; 8];
    number.copy_from_slice(&header[6..14]);
    let field = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if field(22) != checksum(&bytes[..begin + length]) {
        return Err(damaged("a page of Ogg has another checksum than it says"));
    }
    Ok(Page {
        flags: header[5],
        granule: i64::from_le_bytes(number),
        serial: field(14),
        segments,
        body,
    })
}

fn damaged(what: &str) -> AudioFileError {
    AudioFileError::Damaged {
        at_ms: 0,
        what: what.to_owned(),
    }
}

/// A page's CRC: its own field counts as zeros.
pub(super) fn checksum(page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0, |sum, (at, byte)| {
        let byte = if (22..26).contains(&at) { 0 } else { *byte };
        sum << 8 ^ CRC[usize::from((sum >> 24) as u8 ^ byte)]
    })
}

const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let mut value = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = value & 0x8000_0000 != 0;
            value <<= 1;
            if carry {
                value ^= 0x04c1_1db7;
            }
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

/// The stream of a file that is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Opus, and the serial number of its pages.
    Opus(u32),
    Vorbis,
}

impl Stream {
    /// Looks through all pages for the first stream that can be played, and whether it is there to its end.
    pub(super) fn find(bytes: &[u8]) -> Result<Self, AudioFileError> {
        let mut found = None;
        let mut ended = false;
        let mut other = None;
        for page in Pages::of(bytes) {
            let page = page?;
            if page.flags & FIRST != 0 {
                match (found, page.body) {
                    (None, [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', ..]) => {
                        found = Some((page.serial, Self::Opus(page.serial)));
                    }
                    (None, [1, b'v', b'o', b'r', b'b', b'i', b's', ..]) => {
                        found = Some((page.serial, Self::Vorbis));
                    }
                    (None, body) => other = other.or(Some(body)),
                    (Some(_), _) if ended => {
                        return Err(damaged("another stream begins after the first"));
                    }
                    (Some(_), _) => {}
                }
            }
            ended |= found.is_some_and(|(serial, _)| serial == page.serial) && page.is_last();
        }
        match (found, other) {
            (Some((_, stream)), _) if ended => Ok(stream),
            (Some(_), _) => Err(AudioFileError::CutOff),
            (None, other) => Err(AudioFileError::UnknownCodec(match other {
                Some(body) => {
                    let name = body.iter().filter(|byte| byte.is_ascii_alphanumeric());
                    let name: String = name.take(8).map(|byte| char::from(*byte)).collect();
                    format!("Ogg with \"{name}\"")
                }
                None => "Ogg without a stream".to_owned(),
            })),
        }
    }
}

/// The packets of one stream, put together from pages.
#[derive(Debug, Default)]
pub(super) struct Packets {
    begun: Vec<u8>,
}

impl Packets {
    /// Gives each packet that ends on this page.
    pub(super) fn add<E>(
        &mut self,
        page: &Page<'_>,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if page.flags & CONTINUED == 0 {
            self.begun.clear();
        }
        let mut at = 0;
        for segment in page.segments {
            let end = at + usize::from(*segment);
            self.begun.extend_from_slice(&page.body[at..end]);
            at = end;
            if *segment < 255 {
                let done = each(&self.begun);
                self.begun.clear();
                done?;
            }
        }
        Ok(())
    }
}
