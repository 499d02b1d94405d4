//! The processes of one role and the queue in front of them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use offhook_session::provider::ProviderError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use super::Role;
use super::message::{Request, Response, Start};
use super::process::{Process, StartFailure};

/// Requests that may wait; the next is refused with [`ProviderError::Overloaded`].
const QUEUE_BOUND: usize = 64;

/// Loading the models may take this long on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(20);

const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

type Answer = Result<(Response, Arc<[i16]>), ProviderError>;

/// One request on its way through the queue.
struct Job {
    request: Request,
    samples: Arc<[i16]>,
    /// Past this, nobody wants the answer.
    until: Instant,
    answer: oneshot::Sender<Answer>,
}

/// Whether a request has somebody to serve it.
#[derive(Clone, Debug, PartialEq)]
enum Readiness {
    Starting,
    /// A process serves, or did and is being replaced.
    Ready,
    /// Of every process the last start failed.
    Failed(String),
}

/// One of the pool's processes, by its last start.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// Under way for the first time, or anew after the process ended.
    Starting,
    /// It serves; its process id.
    Alive(Option<u32>),
    /// It failed, and is tried again after a while.
    Failed,
}

/// The processes of one role. They end when it is dropped.
pub(super) struct Pool {
    role: Role,
    jobs: mpsc::Sender<Job>,
    deadline: Duration,
    shared: Arc<Shared>,
}

/// What the tasks of the processes share.
struct Shared {
    program: PathBuf,
    start: Start,
    jobs: tokio::sync::Mutex<mpsc::Receiver<Job>>,
    /// How long one process may work on one request.
    deadline: Duration,
    places: Mutex<Vec<Place>>,
    readiness: watch::Sender<Readiness>,
}

impl Pool {
    /// Starts `processes` processes in the background.
    pub(super) fn start(
        program: &Path,
        start: Start,
        processes: usize,
        deadline: Duration,
    ) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE_BOUND);
        let role = start.role;
        let shared = Arc::new(Shared {
            program: program.to_owned(),
            start,
            jobs: tokio::sync::Mutex::new(receiver),
            deadline,
            places: Mutex::new(vec![Place::Starting; processes]),
            readiness: watch::Sender::new(Readiness::Starting),
        });
        for place in 0..processes {
            tokio::spawn(keep_running(Arc::clone(&shared), place));
        }
        Arc::new(Self {
            role,
            jobs: sender,
            deadline,
            shared,
        })
    }

    /// Waits until a process serves, or none could be started.
    pub(super) async fn ready(&self) -> Result<(), ProviderError> {
        let mut readiness = self.shared.readiness.subscribe();
        let known = readiness.wait_for(|now| *now != Readiness::Starting).await;
        match known.as_deref() {
            Ok(Readiness::Failed(reason)) => Err(ProviderError::Unavailable(reason.clone())),
            Ok(Readiness::Ready | Readiness::Starting) | Err(_) => Ok(()),
        }
    }

    /// Sends a request to the first process that is free.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full, `TimedOut` after the deadline, else what became of it.
    pub(super) async fn ask(&self, request: Request, samples: Arc<[i16]>) -> Answer {
        let (sender, answer) = oneshot::channel();
        let job = Job {
            request,
            samples,
            until: Instant::now() + self.deadline,
            answer: sender,
        };
        self.jobs.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                warn!(
                    role = self.role.as_str(),
                    "speech requests queue up: one more than {QUEUE_BOUND} is refused"
                );
                ProviderError::Overloaded(QUEUE_BOUND)
            }
            mpsc::error::TrySendError::Closed(_) => {
                ProviderError::Unavailable("the speech processes have ended".to_owned())
            }
        })?;
        // A process that hangs is killed at its own deadline; this one also ends the wait in the queue.
        match timeout(self.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ProviderError::Died(
                "the speech processes have ended".to_owned(),
            )),
            Err(_) => Err(ProviderError::TimedOut(self.deadline)),
        }
    }

    /// The processes alive now.
    pub(super) fn process_ids(&self) -> Vec<u32> {
        self.shared
            .places()
            .iter()
            .filter_map(|place| match place {
                Place::Alive(id) => *id,
                Place::Starting | Place::Failed => None,
            })
            .collect()
    }
}

/// Keeps one process running until the pool is dropped.
async fn keep_running(shared: Arc<Shared>, place: usize) {
    let role = shared.start.role.as_str();
    let mut back_off = FIRST_BACK_OFF;
    loop {
        let started = timeout(
            START_DEADLINE,
            Process::start(&shared.program, &shared.start),
        )
        .await;
        let failure = match started {
            Ok(Ok(process)) => {
                debug!(role, process_id = process.id(), "speech process ready");
                let id = process.id();
                shared.alive(place, id);
                let end = serve(&shared, process, &mut back_off).await;
                shared.ended(place);
                match end {
                    End::PoolDropped => return,
                    End::Died(how) => {
                        warn!(
                            role,
                            process_id = id,
                            how,
                            "a speech process ended; another is started"
                        );
                        sleep(back_off).await;
                        back_off = (2 * back_off).min(LONGEST_BACK_OFF);
                        continue;
                    }
                }
            }
            Ok(Err(StartFailure::Unavailable(reason) | StartFailure::Failed(reason))) => reason,
            Err(_) => format!("it was not ready within {START_DEADLINE:?}"),
        };
        shared.start_failed(place, &failure);
        if shared.pause_for(back_off, &failure).await.is_break() {
            return;
        }
        back_off = (2 * back_off).min(LONGEST_BACK_OFF);
    }
}

/// Why a process serves no more.
enum End {
    PoolDropped,
    Died(String),
}

/// Serves requests with one process until it ends.
async fn serve(shared: &Shared, mut process: Process, back_off: &mut Duration) -> End {
    loop {
        let job = tokio::select! {
            job = async { shared.jobs.lock().await.recv().await } => job,
            how = process.ended() => return End::Died(how),
        };
        let Some(job) = job else {
            return End::PoolDropped;
        };
        // The call ended, or the wait was too long: nobody wants this any more.
        if job.answer.is_closed() || job.until <= Instant::now() {
            continue;
        }
        match timeout(shared.deadline, process.ask(&job.request, &job.samples)).await {
            Ok(Ok(answer)) => {
                *back_off = FIRST_BACK_OFF;
                let _nobody_waits = job.answer.send(Ok(answer));
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidInput => {
                // Too long for a frame: nothing was sent.
                let _nobody_waits = job
                    .answer
                    .send(Err(ProviderError::Refused(error.to_string())));
            }
            Ok(Err(error)) => {
                let how = process.end(&error).await;
                let _nobody_waits = job.answer.send(Err(ProviderError::Died(how.clone())));
                return End::Died(how);
            }
            Err(_) => {
                process.kill().await;
                let _nobody_waits = job
                    .answer
                    .send(Err(ProviderError::TimedOut(shared.deadline)));
                return End::Died(format!("killed: no answer within {:?}", shared.deadline));
            }
        }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self, place: usize, id: Option<u32>) {
        self.places()[place] = Place::Alive(id);
        self.readiness.send_if_modified(|now| {
            let before = std::mem::replace(now, Readiness::Ready);
            before != Readiness::Ready
        });
    }

    fn ended(&self, place: usize) {
        self.places()[place] = Place::Starting;
    }

    /// One process that cannot be started speaks for itself; only the last of all speaks for the role.
    fn start_failed(&self, place: usize, reason: &str) {
        let role = self.start.role.as_str();
        let (again, all) = {
            let mut places = self.places();
            let before = std::mem::replace(&mut places[place], Place::Failed);
            let all = places.iter().all(|place| *place == Place::Failed);
            (before == Place::Failed, all)
        };
        let all_failed_now = all
            && self.readiness.send_if_modified(|now| {
                let before = std::mem::replace(now, Readiness::Failed(reason.to_owned()));
                !matches!(before, Readiness::Failed(_))
            });
        if all_failed_now {
            warn!(
                role,
                reason, "embedded speech is not available; this is tried again from time to time"
            );
        } else if !all && !again {
            warn!(
                role,
                reason, "a speech process cannot be started; this is tried again from time to time"
            );
        } else {
            debug!(role, reason, "a speech process can still not be started");
        }
    }

    /// Waits before the next start. While of every process the last start failed, requests are answered
    /// with "unavailable" meanwhile.
    async fn pause_for(&self, pause: Duration, reason: &str) -> ControlFlow<()> {
        let until = Instant::now() + pause;
        let mut readiness = self.readiness.subscribe();
        loop {
            let nobody_serves = matches!(*readiness.borrow_and_update(), Readiness::Failed(_));
            let job = tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return ControlFlow::Continue(()),
                _ = readiness.changed() => continue,
                job = async { self.jobs.lock().await.recv().await }, if nobody_serves => job,
            };
            let Some(job) = job else {
                return ControlFlow::Break(());
            };
            let _nobody_waits = job
                .answer
                .send(Err(ProviderError::Unavailable(reason.to_owned())));
        }
    }
}
