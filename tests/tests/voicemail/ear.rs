//! The recogniser of the program, in processes of its own, as a session asks it.

use std::time::Duration;

use offhook::speech_worker::{Role, SpeechConfig, SpeechWorker};
use offhook_session::provider::{Audio, SpeechToText};
use offhook_session::voicemail::phrases;
use tokio::runtime::Runtime;

pub struct Ear {
    worker: SpeechWorker,
    runtime: Runtime,
}

impl Ear {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = SpeechConfig {
            program: offhook_tests::daemon::binary().unwrap(),
            recognition_processes: 2,
            recognition_deadline: Duration::from_secs(60),
            ..SpeechConfig::default()
        };
        let worker = runtime.block_on(async {
            let worker = SpeechWorker::start(&config);
            worker.ready(Role::Recognition).await.unwrap();
            worker
        });
        Self { worker, runtime }
    }

    /// The phrases in samples at 8 kHz.
    pub fn spot(&self, samples: &[i16]) -> Vec<&'static str> {
        let heard = Audio {
            sample_rate_hz: 8_000,
            samples: samples.into(),
        };
        self.runtime
            .block_on(self.worker.spot(heard, phrases()))
            .unwrap()
    }
}
