//! The recogniser: pocketsphinx's foreign functions, and nothing else of it.
//!
//! Written against pocketsphinx 0.8+5prealpha as Debian has it (`pocketsphinx.h`, `cmd_ln.h`). Lives in
//! a speech process only. One decoder serves all requests; the grammar is set for each, which takes
//! well under a millisecond.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use libloading::Library;

use super::acceptance::Fit;
use super::library::{self, MissingLibrary};
use super::spotting;

const SPHINXBASE: (&str, &str) = ("libsphinxbase.so.3", "libsphinxbase3");
const POCKETSPHINX: (&str, &str) = ("libpocketsphinx.so.3", "libpocketsphinx3");
const MODEL_PACKAGE: &str = "pocketsphinx-en-us";

/// The rate its model was trained at, in Hz.
pub(super) const SAMPLE_RATE_HZ: u32 = 16_000;

/// What is shorter than 100 ms is no speech.
const SHORTEST_UTTERANCE: usize = SAMPLE_RATE_HZ as usize / 10;

const SEARCH: &CStr = c"grammar";
const SPOTTING: &CStr = c"spotting";

/// `ps_decoder_t` and `cmd_ln_t`, which only the libraries look into.
type Decoder = NonNull<c_void>;

/// The functions, as the headers declare them.
struct Functions {
    config_init: unsafe extern "C" fn(*mut c_void, *const c_void, c_int, ...) -> *mut c_void,
    config_free: unsafe extern "C" fn(*mut c_void) -> c_int,
    set_log_file: unsafe extern "C" fn(*mut c_void),
    argument_definitions: unsafe extern "C" fn() -> *const c_void,
    decoder_init: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    decoder_free: unsafe extern "C" fn(*mut c_void) -> c_int,
    lookup_word: unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_char,
    set_grammar: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int,
    set_key_phrases: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int,
    set_search: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    start_utterance: unsafe extern "C" fn(*mut c_void) -> c_int,
    process: unsafe extern "C" fn(*mut c_void, *const i16, usize, c_int, c_int) -> c_int,
    end_utterance: unsafe extern "C" fn(*mut c_void) -> c_int,
    hypothesis: unsafe extern "C" fn(*mut c_void, *mut i32) -> *const c_char,
    frames: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// A loaded recogniser.
pub(super) struct Pocketsphinx {
    functions: Functions,
    decoder: Decoder,
    /// The phrases that are spotted, once there were any: to set them takes longer than to hear a second of speech.
    key_phrases: Vec<String>,
    /// Dropped last, in this order: the functions above are in them.
    _libraries: (Library, Library),
}

/// Why an utterance could not be scored.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

impl Pocketsphinx {
    /// Loads the libraries and the model.
    pub(super) fn load(folder: Option<&Path>, model: &Path) -> Result<Self, MissingLibrary> {
        let acoustic = model_part(model, "en-us")?;
        let dictionary = model_part(model, "cmudict-en-us.dict")?;
        let (functions, libraries) = load_functions(folder)?;
        // SAFETY: null turns logging off and is allowed at any time.
        unsafe { (functions.set_log_file)(std::ptr::null_mut()) };
        let decoder = start_decoder(&functions, &acoustic, &dictionary)?;
        Ok(Self {
            functions,
            decoder,
            key_phrases: Vec::new(),
            _libraries: libraries,
        })
    }

    /// Which of `phrases` fits `samples` (at [`SAMPLE_RATE_HZ`]) best, and how well. `None`: none does.
    ///
    /// `phrases` are lower-case words; others are refused, so that nothing in them can be grammar.
    pub(super) fn best_fit(
        &mut self,
        samples: &[i16],
        phrases: &[String],
    ) -> Result<Option<Fit>, Refusal> {
        self.set_grammar(phrases)?;
        if samples.len() < SHORTEST_UTTERANCE {
            return Ok(None);
        }
        self.search(samples)
    }

    fn set_grammar(&mut self, phrases: &[String]) -> Result<(), Refusal> {
        if phrases.is_empty() {
            return Err(Refusal("a grammar without a phrase".to_owned()));
        }
        self.check_phrases(phrases)?;
        let grammar = format!(
            "#JSGF V1.0;\ngrammar flow;\npublic <phrase> = {} ;\n",
            phrases.join(" | ")
        );
        let grammar = CString::new(grammar).expect("checked words hold no zero byte");
        // SAFETY: the decoder is alive, both strings outlive the call; a grammar of the same name is
        // replaced and freed.
        let set = unsafe {
            (self.functions.set_grammar)(self.decoder.as_ptr(), SEARCH.as_ptr(), grammar.as_ptr())
        };
        if set == 0 {
            Ok(())
        } else {
            Err(Refusal("the recogniser refused the grammar".to_owned()))
        }
    }

    fn check_phrases(&mut self, phrases: &[String]) -> Result<(), Refusal> {
        for phrase in phrases {
            let mut words = phrase.split_ascii_whitespace().peekable();
            if words.peek().is_none() {
                return Err(Refusal("an empty phrase".to_owned()));
            }
            for word in words {
                self.check_word(word)?;
            }
        }
        Ok(())
    }

    fn check_word(&mut self, word: &str) -> Result<(), Refusal> {
        if !super::dictionary::is_word(word) {
            return Err(Refusal(format!("{word:?} is no lower-case word")));
        }
        let word_c = CString::new(word).expect("a word holds no zero byte");
        // SAFETY: the decoder is alive, the string outlives the call.
        let phones =
            unsafe { (self.functions.lookup_word)(self.decoder.as_ptr(), word_c.as_ptr()) };
        if phones.is_null() {
            return Err(Refusal(format!(
                "the recogniser does not know the word {word:?}"
            )));
        }
        // SAFETY: the string was allocated with malloc for us (`ckd_malloc` is a checked malloc).
        unsafe { libc::free(phones.cast()) };
        Ok(())
    }

    /// Runs the grammar over a whole utterance.
    fn search(&mut self, samples: &[i16]) -> Result<Option<Fit>, Refusal> {
        let Some((phrase, score)) = self.run(SEARCH, samples)? else {
            return Ok(None);
        };
        // SAFETY: the decoder is alive.
        let frames = unsafe { (self.functions.frames)(self.decoder.as_ptr()) };
        Ok((frames > 0).then(|| Fit {
            phrase,
            score_per_frame: f64::from(score) / f64::from(frames),
        }))
    }

    /// Which of `phrases` are in `samples` (at [`SAMPLE_RATE_HZ`]), by their place in the list, in rising order.
    ///
    /// The same phrases are refused as in [`Self::best_fit`].
    pub(super) fn spot(
        &mut self,
        samples: &[i16],
        phrases: &[String],
    ) -> Result<Vec<usize>, Refusal> {
        if phrases.is_empty() || samples.len() < SHORTEST_UTTERANCE {
            return Ok(Vec::new());
        }
        if self.key_phrases != phrases {
            self.set_key_phrases(phrases)?;
        }
        let Some((heard, _)) = self.run(SPOTTING, samples)? else {
            return Ok(Vec::new());
        };
        // Two spaces between one phrase and the next.
        let heard: Vec<&str> = heard.split("  ").map(str::trim).collect();
        let places = phrases.iter().enumerate();
        Ok(places
            .filter(|(_, phrase)| heard.contains(&phrase.as_str()))
            .map(|(place, _)| place)
            .collect())
    }

    fn set_key_phrases(&mut self, phrases: &[String]) -> Result<(), Refusal> {
        self.check_phrases(phrases)?;
        let failed = |what: &str| Refusal(format!("the recogniser's list of phrases: {what}"));
        // The library reads a file, and ours is one that is nowhere on disk.
        let mut list = anonymous_file().map_err(|error| failed(&error.to_string()))?;
        list.write_all(spotting::key_phrase_list(phrases).as_bytes())
            .map_err(|error| failed(&error.to_string()))?;
        let path = CString::new(format!("/proc/self/fd/{}", list.as_raw_fd()))
            .expect("a number holds no zero byte");
        self.key_phrases.clear();
        // SAFETY: the decoder is alive, both strings outlive the call, which reads the file and keeps nothing of it; a
        // search of the same name is replaced and freed.
        let set = unsafe {
            (self.functions.set_key_phrases)(
                self.decoder.as_ptr(),
                SPOTTING.as_ptr(),
                path.as_ptr(),
            )
        };
        if set != 0 {
            return Err(failed("refused"));
        }
        self.key_phrases = phrases.to_vec();
        Ok(())
    }

    /// Runs a search over a whole utterance: what it found, and its score.
    fn run(&mut self, search: &CStr, samples: &[i16]) -> Result<Option<(String, i32)>, Refusal> {
        let failed = |what: &str| Refusal(format!("the recogniser failed to {what}"));
        let decoder = self.decoder.as_ptr();
        let functions = &self.functions;
        // SAFETY: the decoder is alive and this is the only thread; the calls come in the order the
        // header asks for (search, start, process, end, hypothesis); `samples` outlives the call and is
        // as long as said; the hypothesis is a C string that lives until the next utterance.
        unsafe {
            if (functions.set_search)(decoder, search.as_ptr()) != 0 {
                return Err(failed("take what to look for"));
            }
            if (functions.start_utterance)(decoder) != 0 {
                return Err(failed("begin"));
            }
            let processed = (functions.process)(decoder, samples.as_ptr(), samples.len(), 0, 1);
            let ended = (functions.end_utterance)(decoder);
            if processed < 0 || ended != 0 {
                return Err(failed("hear the utterance"));
            }
            let mut score = 0;
            let text = (functions.hypothesis)(decoder, &raw mut score);
            if text.is_null() {
                return Ok(None);
            }
            let text = CStr::from_ptr(text).to_string_lossy().into_owned();
            Ok(Some((text, score)))
        }
    }
}

/// A file in memory that has no name.
fn anonymous_file() -> io::Result<File> {
    // SAFETY: the name is a C string; the call gives a descriptor that is nobody else's, or an error.
    unsafe {
        let descriptor = libc::memfd_create(c"key phrases".as_ptr(), libc::MFD_CLOEXEC);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(descriptor))
    }
}

impl Drop for Pocketsphinx {
    fn drop(&mut self) {
        // SAFETY: the decoder is alive until here and never used again.
        unsafe { (self.functions.decoder_free)(self.decoder.as_ptr()) };
    }
}

fn load_functions(
    folder: Option<&Path>,
) -> Result<(Functions, (Library, Library)), MissingLibrary> {
    // SAFETY: both libraries are what their names say and have no initialisers of their own; the types
    // are those of their headers; the functions live beside the libraries and are private to them.
    unsafe {
        let base = library::open(folder, SPHINXBASE.0, SPHINXBASE.1)?;
        let decoder = library::open(folder, POCKETSPHINX.0, POCKETSPHINX.1)?;
        macro_rules! of_base {
            ($name:literal) => {
                library::function(&base, SPHINXBASE.0, SPHINXBASE.1, $name)?
            };
        }
        macro_rules! of_decoder {
            ($name:literal) => {
                library::function(&decoder, POCKETSPHINX.0, POCKETSPHINX.1, $name)?
            };
        }
        let functions = Functions {
            config_init: of_base!("cmd_ln_init"),
            config_free: of_base!("cmd_ln_free_r"),
            set_log_file: of_base!("err_set_logfp"),
            argument_definitions: of_decoder!("ps_args"),
            decoder_init: of_decoder!("ps_init"),
            decoder_free: of_decoder!("ps_free"),
            lookup_word: of_decoder!("ps_lookup_word"),
            set_grammar: of_decoder!("ps_set_jsgf_string"),
            set_key_phrases: of_decoder!("ps_set_kws"),
            set_search: of_decoder!("ps_set_search"),
            start_utterance: of_decoder!("ps_start_utt"),
            process: of_decoder!("ps_process_raw"),
            end_utterance: of_decoder!("ps_end_utt"),
            hypothesis: of_decoder!("ps_get_hyp"),
            frames: of_decoder!("ps_get_n_frames"),
        };
        Ok((functions, (decoder, base)))
    }
}

/// Starts a decoder. Our own detector has cut the utterance, so the decoder's removal of silence, which
/// takes word ends with it, is off.
fn start_decoder(
    functions: &Functions,
    acoustic: &CStr,
    dictionary: &CStr,
) -> Result<Decoder, MissingLibrary> {
    let failed = || {
        MissingLibrary::new(
            "en-us",
            MODEL_PACKAGE,
            "the recogniser's model cannot be read",
        )
    };
    // SAFETY: the definitions are the library's own; the variable arguments are pairs of C strings
    // ended by null, as the header asks, and outlive the call, which copies them.
    let config = unsafe {
        (functions.config_init)(
            std::ptr::null_mut(),
            (functions.argument_definitions)(),
            1,
            c"-hmm".as_ptr(),
            acoustic.as_ptr(),
            c"-dict".as_ptr(),
            dictionary.as_ptr(),
            c"-remove_silence".as_ptr(),
            c"no".as_ptr(),
            std::ptr::null::<c_char>(),
        )
    };
    let config = NonNull::new(config).ok_or_else(failed)?;
    // SAFETY: the configuration is alive; the decoder keeps a reference of its own.
    let decoder = unsafe { (functions.decoder_init)(config.as_ptr()) };
    // SAFETY: gives up our own reference, once.
    unsafe { (functions.config_free)(config.as_ptr()) };
    NonNull::new(decoder).ok_or_else(failed)
}

/// A part of the model, which must exist.
fn model_part(folder: &Path, name: &str) -> Result<CString, MissingLibrary> {
    let path: PathBuf = folder.join(name);
    let missing =
        |reason: String| MissingLibrary::new(&path.display().to_string(), MODEL_PACKAGE, reason);
    if let Err(error) = std::fs::metadata(&path) {
        return Err(missing(error.to_string()));
    }
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| missing(error.to_string()))
}
