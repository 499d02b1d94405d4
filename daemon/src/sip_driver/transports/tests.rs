//! Transports against plain sockets on loopback, which play the far end.

mod over_tls;

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

/// What came, owned.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Message(Flow, String),
    Closed(Flow),
}

/// Transports, and what they have brought.
struct Ours {
    transports: Transports,
    came: VecDeque<Came>,
}

impl Deref for Ours {
    type Target = Transports;

    fn deref(&self) -> &Transports {
        &self.transports
    }
}

impl DerefMut for Ours {
    fn deref_mut(&mut self) -> &mut Transports {
        &mut self.transports
    }
}

impl Ours {
    /// Reads what comes for ever, as the signalling task does.
    async fn run(&mut self) {
        loop {
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        self.transports.readable().await;
        self.transports.read(|event| {
            self.came.push_back(match event {
                TransportEvent::Message { flow, bytes } => {
                    Came::Message(flow, String::from_utf8_lossy(bytes).into_owned())
                }
                TransportEvent::Closed(flow) => Came::Closed(flow),
            });
        });
    }

    /// The next thing that comes.
    async fn next(&mut self) -> Came {
        let deadline = Instant::now() + PROMPTLY;
        loop {
            if let Some(came) = self.came.pop_front() {
                return came;
            }
            timeout_at(deadline, self.turn())
                .await
                .expect("something comes");
        }
    }

    /// What `work` gives, while this runs beside it.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            () = self.run() => unreachable!("it runs for ever"),
        }
    }
}

fn settings() -> StreamSettings {
    StreamSettings {
        tls: None,
        gate: Arc::new(|_| true),
        times: ConnectionTimes::default(),
        limits: ConnectionLimits::default(),
    }
}

/// Transports that listen on one port, and where.
fn listening(settings: StreamSettings) -> (Ours, SocketAddr) {
    listening_at("127.0.0.1:0", settings)
}

fn listening_at(address: &str, settings: StreamSettings) -> (Ours, SocketAddr) {
    let socket = crate::tcp::listen(address.parse().unwrap()).unwrap();
    let local = socket.local_addr().unwrap();
    let listener = match settings.tls {
        Some(_) => SipListener::Tls(socket),
        None => SipListener::Tcp(socket),
    };
    let ours = Ours {
        transports: Transports::start(vec![listener], settings).unwrap(),
        came: VecDeque::new(),
    };
    (ours, local)
}

async fn far_end() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn over_tcp(local: SocketAddr, remote: SocketAddr) -> Flow {
    Flow {
        transport: Transport::Tcp,
        local,
        remote,
    }
}

fn options(n: usize) -> String {
    format!("OPTIONS sip:{n}@h SIP/2.0\r\nCSeq: {n} OPTIONS\r\nContent-Length: 0\r\n\r\n")
}

async fn hears(stream: &mut (impl AsyncRead + Unpin), expected: &str) {
    let mut heard = vec![0; expected.len()];
    timeout(PROMPTLY, stream.read_exact(&mut heard))
        .await
        .expect("in time")
        .expect("the connection lives");
    assert_eq!(String::from_utf8_lossy(&heard), expected);
}

async fn says(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// Waits until the far end has nothing more to say.
async fn is_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let end = timeout(PROMPTLY, stream.read_to_end(&mut rest))
        .await
        .expect("in time");
    assert!(end.is_err() || rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_request_opens_a_connection_and_its_answer_comes_back_on_it() {
    let (mut ours, local) = listening(settings());
    let (listener, remote) = far_end().await;
    let flow = over_tcp(local, remote);
    for n in 0..3 {
        ours.send(flow, options(n).into_bytes()).unwrap();
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    for n in 0..3 {
        hears(&mut stream, &options(n)).await;
    }
    let answer = "SIP/2.0 200 OK\r\nl: 0\r\n\r\n";
    says(&mut stream, answer).await;
    assert_eq!(ours.next().await, Came::Message(flow, answer.to_owned()));
}

/// Some carriers keep a connection up and stop answering on it.
#[tokio::test]
async fn wound_06_a_connection_that_answers_nothing_twice_is_given_up_and_the_next_request_opens_another()
 {
    let (mut ours, local) = listening(settings());
    let (listener, remote) = far_end().await;
    let flow = over_tcp(local, remote);
    ours.send(flow, options(1).into_bytes()).unwrap();
    let (mut silent, _) = listener.accept().await.unwrap();
    hears(&mut silent, &options(1)).await;

    // Requests that waited longer than the connection is old say nothing about it.
    let now = std::time::Instant::now();
    let (young, old) = (now + Duration::from_secs(31), now + Duration::from_secs(33));
    for _ in 0..3 {
        assert!(!ours.note_silence(flow, young));
    }
    assert!(!ours.note_silence(flow, old), "once is no row");
    // Whatever comes shows that somebody is there.
    says(&mut silent, &options(2)).await;
    assert_eq!(ours.next().await, Came::Message(flow, options(2)));
    assert!(!ours.note_silence(flow, old));
    assert!(ours.note_silence(flow, old));
    is_closed(&mut silent).await;
    assert!(!ours.note_silence(flow, old), "there is none");

    ours.send(flow, options(3).into_bytes()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    hears(&mut stream, &options(3)).await;
    // What the first one's end leaves behind in the queue is no end of the second.
    says(&mut stream, &options(4)).await;
    assert_eq!(ours.next().await, Came::Message(flow, options(4)));
}

#[tokio::test]
async fn over_ipv6_both_ways_of_connecting_work_as_well() {
    let (mut ours, local) = listening_at("[::1]:0", settings());
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let flow = over_tcp(local, listener.local_addr().unwrap());
    ours.send(flow, options(1).into_bytes()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    hears(&mut stream, &options(1)).await;

    let mut stream = TcpStream::connect(local).await.unwrap();
    says(&mut stream, &options(2)).await;
    let flow = over_tcp(local, stream.local_addr().unwrap());
    assert_eq!(ours.next().await, Came::Message(flow, options(2)));
}

#[tokio::test]
async fn where_nobody_listens_the_flow_is_reported() {
    let (mut ours, local) = listening(settings());
    let (listener, remote) = far_end().await;
    drop(listener);
    let flow = over_tcp(local, remote);
    ours.send(flow, options(1).into_bytes()).unwrap();
    assert_eq!(ours.next().await, Came::Closed(flow));
}

#[tokio::test]
async fn where_we_do_not_listen_with_that_transport_nothing_is_sent() {
    let (mut ours, local) = listening(settings());
    let (_listener, remote) = far_end().await;
    let tls = Flow {
        transport: Transport::Tls,
        ..over_tcp(local, remote)
    };
    for flow in [tls, over_tcp(remote, remote)] {
        let error = ours.send(flow, options(1).into_bytes()).unwrap_err();
        assert!(matches!(error, SendError::NoListener), "{error}");
    }
}

#[tokio::test]
async fn wound_05_a_request_goes_by_the_connection_that_was_accepted() {
    let (mut ours, local) = listening(settings());
    let mut stream = TcpStream::connect(local).await.unwrap();
    says(&mut stream, &options(1)).await;
    let flow = over_tcp(local, stream.local_addr().unwrap());
    assert_eq!(ours.next().await, Came::Message(flow, options(1)));
    ours.send(flow, options(2).into_bytes()).unwrap();
    hears(&mut stream, &options(2)).await;
}

#[tokio::test]
async fn wound_06_a_far_end_that_closes_is_reported_at_once_and_reached_again() {
    let (mut ours, local) = listening(settings());
    let (listener, remote) = far_end().await;
    let flow = over_tcp(local, remote);
    ours.send(flow, options(1).into_bytes()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    hears(&mut stream, &options(1)).await;
    drop(stream);
    assert_eq!(ours.next().await, Came::Closed(flow));

    ours.send(flow, options(2).into_bytes()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    hears(&mut stream, &options(2)).await;
}

#[tokio::test]
async fn a_response_whose_connection_is_gone_opens_none() {
    let (mut ours, local) = listening(settings());
    let (_listener, remote) = far_end().await;
    let response = b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n".to_vec();
    let error = ours.send(over_tcp(local, remote), response).unwrap_err();
    assert!(matches!(error, SendError::NoWayBack), "{error}");
}

#[tokio::test]
async fn a_far_end_that_takes_nothing_loses_its_connection() {
    let (mut ours, local) = listening(settings());
    let (listener, remote) = far_end().await;
    let flow = over_tcp(local, remote);
    let body = "x".repeat(60_000);
    let message = format!("INFO sip:a@h SIP/2.0\r\nl: {}\r\n\r\n{body}", body.len());
    ours.send(flow, options(1).into_bytes()).unwrap();
    let (_deaf, _) = listener.accept().await.unwrap();
    // What fits into sockets and queues is a few megabytes.
    let refused = (0..10_000).find_map(|_| ours.send(flow, message.clone().into_bytes()).err());
    assert!(matches!(refused, Some(SendError::Backlog)), "{refused:?}");
    assert!(ours.connections.get(flow).is_none());
}

#[tokio::test]
async fn a_ping_is_answered_and_messages_around_it_are_whole() {
    let (mut ours, local) = listening(settings());
    let mut stream = TcpStream::connect(local).await.unwrap();
    says(&mut stream, &format!("\r\n\r\n{}\r\n\r\n", options(1))).await;
    ours.beside(hears(&mut stream, "\r\n\r\n")).await;
    let flow = over_tcp(local, stream.local_addr().unwrap());
    assert_eq!(ours.next().await, Came::Message(flow, options(1)));
}

#[tokio::test]
async fn a_connection_of_ours_is_asked_and_given_up_when_answers_stop() {
    let times = ConnectionTimes {
        ping: Duration::from_millis(50),
        pong: Duration::from_millis(50),
        ..ConnectionTimes::default()
    };
    let (mut ours, local) = listening(StreamSettings {
        times,
        ..settings()
    });
    let (listener, remote) = far_end().await;
    let flow = over_tcp(local, remote);
    ours.send(flow, options(1).into_bytes()).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    hears(&mut stream, &options(1)).await;
    hears(&mut stream, "\r\n\r\n").await;
    says(&mut stream, "\r\n").await;
    hears(&mut stream, "\r\n\r\n").await;
    assert_eq!(ours.next().await, Came::Closed(flow));
}

#[tokio::test]
async fn an_accepted_connection_that_carries_nothing_is_closed() {
    let times = ConnectionTimes {
        idle: Duration::from_millis(50),
        ..ConnectionTimes::default()
    };
    let (mut ours, local) = listening(StreamSettings {
        times,
        ..settings()
    });
    let mut stream = TcpStream::connect(local).await.unwrap();
    let flow = over_tcp(local, stream.local_addr().unwrap());
    assert_eq!(ours.next().await, Came::Closed(flow));
    is_closed(&mut stream).await;
}

#[tokio::test]
async fn what_is_no_sip_closes_its_connection_after_the_messages_before_it() {
    let (mut ours, local) = listening(settings());
    let mut stream = TcpStream::connect(local).await.unwrap();
    says(&mut stream, &format!("{}GET / HTTP/1.1\r\n", options(1))).await;
    let flow = over_tcp(local, stream.local_addr().unwrap());
    assert_eq!(ours.next().await, Came::Message(flow, options(1)));
    assert_eq!(ours.next().await, Came::Closed(flow));
    is_closed(&mut stream).await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_there_is_room_after_one_ends() {
    let limits = ConnectionLimits {
        connections: 10,
        of_one_source: 1,
    };
    let (mut ours, local) = listening(StreamSettings {
        limits,
        ..settings()
    });
    let mut first = TcpStream::connect(local).await.unwrap();
    says(&mut first, &options(1)).await;
    ours.next().await;
    let mut second = TcpStream::connect(local).await.unwrap();
    ours.beside(is_closed(&mut second)).await;
    drop(first);
    assert!(matches!(ours.next().await, Came::Closed(_)));
    let mut third = TcpStream::connect(local).await.unwrap();
    says(&mut third, &options(3)).await;
    assert!(matches!(ours.next().await, Came::Message(..)));
}

#[tokio::test]
async fn a_stranger_is_closed_without_a_byte() {
    let (mut ours, local) = listening(StreamSettings {
        gate: Arc::new(|_| false),
        ..settings()
    });
    let mut stream = TcpStream::connect(local).await.unwrap();
    ours.beside(is_closed(&mut stream)).await;
    assert!(ours.came.is_empty(), "{:?}", ours.came);
}

#[tokio::test]
async fn the_last_messages_are_written_before_the_end() {
    let (mut ours, local) = listening(settings());
    let mut stream = TcpStream::connect(local).await.unwrap();
    says(&mut stream, &options(1)).await;
    let Came::Message(flow, _) = ours.next().await else {
        panic!()
    };
    for n in 0..100 {
        ours.send(flow, options(n).into_bytes()).unwrap();
    }
    ours.transports.finish().await;
    for n in 0..100 {
        hears(&mut stream, &options(n)).await;
    }
    is_closed(&mut stream).await;
}
