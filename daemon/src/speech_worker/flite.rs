//! The voice: flite's foreign functions, and nothing else of it.
//!
//! Written against flite 2.2 (`flite.h`, `cst_wave.h`). Lives in a speech process only.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;

use libloading::Library;

use super::Voice;
use super::library::{self, MissingLibrary};

const PACKAGE: &str = "libflite1";

/// The longest text in one request, in bytes: about a minute of speech, which takes seconds to make. The
/// session asks for a sentence at a time.
const LONGEST_TEXT: usize = 1024;

/// flite's `cst_wave`.
#[repr(C)]
struct Wave {
    kind: *const c_char,
    sample_rate: c_int,
    num_samples: c_int,
    num_channels: c_int,
    samples: *const i16,
}

/// flite's `cst_voice`, which only flite looks into.
type VoicePointer = NonNull<c_void>;

/// The loaded library with the voices that were asked for.
pub(super) struct Flite {
    text_to_wave: unsafe extern "C" fn(*const c_char, *mut c_void) -> *mut Wave,
    delete_wave: unsafe extern "C" fn(*mut Wave),
    folder: Option<std::path::PathBuf>,
    voices: Vec<(Voice, VoicePointer, Library)>,
    /// Dropped last: the functions above are in it.
    _library: Library,
}

impl Flite {
    /// Loads flite and `voice`.
    pub(super) fn load(folder: Option<&Path>, voice: Voice) -> Result<Self, MissingLibrary> {
        const FILE: &str = "libflite.so.1";
        // SAFETY: flite has no initialisers of its own; the types are those of `flite.h` and
        // `cst_wave.h`; the copied functions live beside the library in `Self` and are private to it.
        let (library, init, text_to_wave, delete_wave) = unsafe {
            let library = library::open(folder, FILE, PACKAGE)?;
            let init: unsafe extern "C" fn() -> c_int =
                library::function(&library, FILE, PACKAGE, "flite_init")?;
            let text_to_wave = library::function(&library, FILE, PACKAGE, "flite_text_to_wave")?;
            let delete_wave = library::function(&library, FILE, PACKAGE, "delete_wave")?;
            (library, init, text_to_wave, delete_wave)
        };
        // SAFETY: takes nothing, may be called any number of times, and comes before all other calls.
        unsafe { init() };
        let mut flite = Self {
            text_to_wave,
            delete_wave,
            folder: folder.map(Path::to_owned),
            voices: Vec::new(),
            _library: library,
        };
        flite.voice(voice)?;
        Ok(flite)
    }

    /// The text as samples with their rate.
    ///
    /// # Errors
    /// The voice's library is missing, or (`Ok(Err(..))`) flite made nothing of the text.
    pub(super) fn synthesise(
        &mut self,
        voice: Voice,
        text: &str,
    ) -> Result<Result<(u32, Vec<i16>), String>, MissingLibrary> {
        let voice = self.voice(voice)?;
        let text = plain_text(text);
        if text.len() > LONGEST_TEXT {
            return Ok(Err(format!(
                "a text of {} bytes (the most is {LONGEST_TEXT})",
                text.len()
            )));
        }
        let text = CString::new(text).expect("plain text holds no zero byte");
        // SAFETY: `text` is a C string that outlives the call, `voice` came from this library's
        // registration and voices are never freed.
        let wave = unsafe { (self.text_to_wave)(text.as_ptr(), voice.as_ptr()) };
        let Some(wave) = NonNull::new(wave) else {
            return Ok(Err("flite made no audio of the text".to_owned()));
        };
        // SAFETY: a wave that is not null is initialised, and nobody else holds it.
        let result = unsafe { copy_wave(wave.as_ref()) };
        // SAFETY: the wave came from flite, its samples were copied, and it is freed once.
        unsafe { (self.delete_wave)(wave.as_ptr()) };
        Ok(result)
    }

    /// The voice, registered at its first use.
    fn voice(&mut self, voice: Voice) -> Result<VoicePointer, MissingLibrary> {
        if let Some((_, pointer, _)) = self.voices.iter().find(|(known, ..)| *known == voice) {
            return Ok(*pointer);
        }
        // The plain `kal` speaks at 8 kHz; its 16 kHz sibling is the same voice.
        let name = match voice {
            Voice::Slt | Voice::Rms | Voice::Awb => voice.as_str(),
            Voice::Kal => "kal16",
        };
        let file = format!("libflite_cmu_us_{name}.so.1");
        // SAFETY: flite's voice libraries have no initialisers of their own; each has one function of
        // this type, which takes the folder of its data or null for what is linked in, and returns a
        // voice that lives as long as the process.
        let (library, pointer) = unsafe {
            let library = library::open(self.folder.as_deref(), &file, PACKAGE)?;
            let register: unsafe extern "C" fn(*const c_char) -> *mut c_void =
                library::function(&library, &file, PACKAGE, &format!("register_cmu_us_{name}"))?;
            (library, register(std::ptr::null()))
        };
        let pointer = NonNull::new(pointer)
            .ok_or_else(|| MissingLibrary::new(&file, PACKAGE, "the voice cannot be registered"))?;
        self.voices.push((voice, pointer, library));
        Ok(pointer)
    }
}

/// Copies the samples out of flite's memory.
///
/// # Safety
/// `wave` is one that flite filled in: `samples` holds `num_samples` times `num_channels` samples.
unsafe fn copy_wave(wave: &Wave) -> Result<(u32, Vec<i16>), String> {
    let (Ok(sample_rate_hz), Ok(samples)) = (
        u32::try_from(wave.sample_rate),
        usize::try_from(wave.num_samples),
    ) else {
        return Err("flite made audio of a negative length".to_owned());
    };
    if wave.num_channels != 1 || wave.samples.is_null() || samples == 0 || sample_rate_hz == 0 {
        return Err("flite made no mono audio of the text".to_owned());
    }
    // SAFETY: by this function's contract, mono as just checked; i16 is C's `short` here.
    Ok((
        sample_rate_hz,
        unsafe { std::slice::from_raw_parts(wave.samples, samples) }.to_vec(),
    ))
}

/// The text in the ASCII that flite's English front end reads: typographic quotes, dashes and the like
/// in their plain form, accents off the commonest letters, anything else a space. Endless words are cut
/// up: flite's rules take time that grows with more than the square of a word's length.
fn plain_text(text: &str) -> String {
    const LONGEST_WORD: usize = 40;
    let mut plain = String::with_capacity(text.len());
    let mut word = 0;
    for symbol in text.chars() {
        word = if symbol.is_whitespace() { 0 } else { word + 1 };
        if word > LONGEST_WORD {
            plain.push(' ');
            word = 1;
        }
        match symbol {
            '\u{20}'..='\u{7e}' => plain.push(symbol),
            '‘' | '’' => plain.push('\''),
            '“' | '”' | '„' => plain.push('"'),
            '–' | '—' => plain.push_str(", "),
            '…' => plain.push_str("..."),
            'à' | 'á' | 'â' | 'ä' | 'å' => plain.push('a'),
            'è' | 'é' | 'ê' | 'ë' => plain.push('e'),
            'ì' | 'í' | 'î' | 'ï' => plain.push('i'),
            'ò' | 'ó' | 'ô' | 'ö' => plain.push('o'),
            'ù' | 'ú' | 'û' | 'ü' => plain.push('u'),
            'ç' => plain.push('c'),
            'ñ' => plain.push('n'),
            _ => plain.push(' '),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typography_becomes_what_flite_can_read() {
        assert_eq!(
            plain_text("“It’s open”—until 5…\n\0é"),
            "\"It's open\", until 5...  e"
        );
    }

    #[test]
    fn an_endless_word_is_cut_up() {
        let plain = plain_text(&"a".repeat(100));
        assert_eq!(
            plain.split(' ').map(str::len).collect::<Vec<_>>(),
            [40, 40, 20]
        );
    }

    #[test]
    fn a_missing_library_is_named_with_its_package() {
        let folder = std::env::temp_dir().join("offhook-no-libraries-here");
        let error = Flite::load(Some(&folder), Voice::Slt)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("libflite.so.1") && error.contains("libflite1"),
            "{error}"
        );
    }
}
