//! What the demo's front desk listens for is understood over a telephone's audio: flite speaks it in
//! several voices, G.711 carries it, pocketsphinx hears it. The Debian packages `libflite1`,
//! `libpocketsphinx3` and `pocketsphinx-en-us` must be installed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offhook::speech_worker::dictionary::Dictionary;
use offhook::speech_worker::{DEBIAN_MODEL_FOLDER, SpeechConfig, SpeechWorker, Voice};
use offhook_media::codec::{Codec, CodecKind, Decoder, Encoder};
use offhook_media::resampler::resample_whole;
use offhook_session::flow::{Flow, StepName};
use offhook_session::grammar::Grammar;
use offhook_session::provider::{Audio, Recognition, SpeechToText, TextToSpeech};

const FRONT_DESK: &str = include_str!("../../deploy/flows/front-desk.toml");

/// What a caller may say that the front desk has no answer to.
const OUTSIDE: [&str; 16] = [
    "what is the weather like today",
    "i would like a large pizza",
    "my dog is sick",
    "can you hear me",
    "the quick brown fox",
    "banana",
    "where is my parcel",
    "cancel my subscription",
    "maybe later",
    "the train is late again",
    "is anybody there",
    "sorry could you say that again",
    "i am looking for my brother",
    "elephants",
    "hold on a second",
    "never mind the details",
];

fn speech() -> SpeechWorker {
    SpeechWorker::start(&SpeechConfig {
        program: PathBuf::from(env!("CARGO_BIN_EXE_offhook")),
        synthesis_deadline: Duration::from_secs(60),
        recognition_deadline: Duration::from_secs(60),
        ..SpeechConfig::default()
    })
}

/// A voice as it comes out of a telephone line: 8 kHz, G.711 µ-law, a faint hiss, 300 ms before and
/// after the speech.
async fn over_the_telephone(speech: &SpeechWorker, voice: Voice, text: &str) -> Audio {
    let spoken = speech.with_voice(voice).synthesise(text).await.unwrap();
    let narrow = resample_whole(&spoken.samples, spoken.sample_rate_hz, 8_000).unwrap();
    let loud = |sample: &i16| sample.unsigned_abs() > 200;
    let start = narrow.iter().position(loud).unwrap();
    let end = narrow.iter().rposition(loud).unwrap();
    let mut line = vec![0; 2_400];
    line.extend_from_slice(&narrow[start..=end]);
    line.extend([0; 2_400]);
    let mut seed = 1_u32;
    for sample in &mut line {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = sample.saturating_add((seed >> 27) as i16 - 16);
    }
    Audio {
        sample_rate_hz: 8_000,
        samples: Arc::from(through_g711(&line)),
    }
}

/// What the far end of a call makes of samples: encoded and decoded in packets of 20 ms.
fn through_g711(samples: &[i16]) -> Vec<i16> {
    let codec = Codec::new(CodecKind::Pcmu);
    let mut encoder = Encoder::new(&codec).unwrap();
    let mut decoder = Decoder::new(CodecKind::Pcmu).unwrap();
    let mut payload = [0; 160];
    let mut decoded = vec![0; samples.len()];
    for (frame, out) in samples.chunks_exact(160).zip(decoded.chunks_exact_mut(160)) {
        let bytes = encoder.encode(frame, &mut payload).unwrap();
        decoder.decode(&payload[..bytes], out).unwrap();
    }
    decoded
}

/// The grammars of the front desk, each once, with a step that has it.
fn grammars(flow: &Flow) -> Vec<(StepName, Grammar)> {
    let mut grammars: Vec<(StepName, Grammar)> = Vec::new();
    for (step, grammar) in flow.grammars() {
        if grammars.iter().all(|(_, other)| *other != grammar) {
            grammars.push((step.clone(), grammar));
        }
    }
    grammars
}

#[test]
fn the_recogniser_knows_every_word_of_the_front_desk() {
    let dictionary = Dictionary::read(DEBIAN_MODEL_FOLDER.as_ref()).unwrap();
    let flow = Flow::parse(FRONT_DESK).unwrap();
    assert_eq!(flow.unknown_words(|word| dictionary.knows(word)), []);
}

#[tokio::test]
async fn every_phrase_of_the_front_desk_leads_where_it_should_in_each_voice() {
    let speech = speech();
    let flow = Flow::parse(FRONT_DESK).unwrap();
    let mut astray = Vec::new();
    for voice in [Voice::Slt, Voice::Rms] {
        for (step, grammar) in grammars(&flow) {
            for phrase in &grammar.phrases {
                let audio = over_the_telephone(&speech, voice, phrase).await;
                let heard = speech.recognise(audio, &grammar).await.unwrap();
                let led_to = match &heard {
                    Recognition::Phrase { text, .. } => flow.leads_to(&step, text),
                    Recognition::OutOfGrammar => None,
                };
                if led_to.is_none() || led_to != flow.leads_to(&step, phrase) {
                    astray.push(format!(
                        "{voice:?} at {step}: {phrase:?} was heard as {heard:?}"
                    ));
                }
            }
        }
    }
    assert!(astray.is_empty(), "{astray:#?}");
}

#[tokio::test]
async fn what_the_front_desk_does_not_expect_is_seldom_taken_for_what_it_does() {
    let speech = speech();
    let flow = Flow::parse(FRONT_DESK).unwrap();
    let mut asked = 0;
    let mut taken = Vec::new();
    for voice in [Voice::Slt, Voice::Rms] {
        for sentence in OUTSIDE {
            let audio = over_the_telephone(&speech, voice, sentence).await;
            for (step, grammar) in grammars(&flow) {
                asked += 1;
                let heard = speech.recognise(audio.clone(), &grammar).await.unwrap();
                if heard != Recognition::OutOfGrammar {
                    taken.push(format!(
                        "{voice:?} at {step}: {sentence:?} was heard as {heard:?}"
                    ));
                }
            }
        }
    }
    assert!(
        taken.len() * 8 <= asked,
        "{} of {asked}: {taken:#?}",
        taken.len()
    );
}
