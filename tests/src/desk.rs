//! A program of others that webhooks ask: takes requests over HTTP, keeps what they say, and answers by a script.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// How long a request may take to come whole.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and target: `POST /orders`.
    pub line: String,
    /// The body as JSON; null where there is none.
    pub body: Value,
}

/// A server on loopback. Its thread ends with the process.
#[derive(Debug)]
pub struct Desk {
    address: SocketAddr,
    asked: Receiver<Asked>,
}

impl Desk {
    /// Answers each request with the status and the JSON text that `answer` gives for it.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn open(answer: impl Fn(&Asked) -> (u16, String) + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (tell, asked) = channel();
        std::thread::Builder::new()
            .name("desk".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    // Whoever asks badly is not answered, which the test sees.
                    if let Ok(asked) = serve(&stream, &answer)
                        && tell.send(asked).is_err()
                    {
                        return;
                    }
                }
            })?;
        Ok(Self { address, asked })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request.
    ///
    /// # Errors
    /// When none comes within `limit`.
    pub fn asked(&self, limit: Duration) -> Result<Asked, RecvTimeoutError> {
        self.asked.recv_timeout(limit)
    }
}

fn serve(stream: &TcpStream, answer: impl Fn(&Asked) -> (u16, String)) -> io::Result<Asked> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let line = first.rsplit_once(' ').map_or("", |(line, _)| line);
    let asked = Asked {
        line: line.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let (status, text) = answer(&asked);
    let length = text.len();
    write!(
        &*stream,
        "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{text}"
    )?;
    Ok(asked)
}
