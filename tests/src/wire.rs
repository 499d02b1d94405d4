//! One connection as a far end has it: messages of any number of calls, cut out of the stream by their lengths, every
//! wait with a deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::sip_text::{self, Caller};

/// How long a healthy peer on loopback may take for any answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One end of a TCP or TLS connection.
#[derive(Debug)]
pub struct Wire<Stream> {
    stream: Stream,
    transport: &'static str,
    unread: Vec<u8>,
}

impl Wire<TcpStream> {
    /// Connects over TCP.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn tcp(target: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(connect(target)?, "TCP"))
    }

    /// Our end of the connection.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Writes no more, and reads on.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn finish_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

/// A TCP connection whose reads end in five seconds.
///
/// # Errors
/// When nobody listens.
pub fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

impl<Stream: Read + Write> Wire<Stream> {
    /// Speaks over a connection that is there, and calls its transport so in Via.
    pub fn over(stream: Stream, transport: &'static str) -> Self {
        Self {
            stream,
            transport,
            unread: Vec::new(),
        }
    }

    /// A caller's request as it is written for this transport.
    pub fn written(&self, request: &str) -> String {
        let parameter = format!(";transport={}>\r\n", self.transport.to_lowercase());
        let contact = sip_text::header_lines(request, "Contact");
        let here = contact.replace(">\r\n", &parameter);
        let via = format!("SIP/2.0/{}", self.transport);
        request
            .replacen("SIP/2.0/UDP", &via, 1)
            .replacen(&contact, &here, 1)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Sends a caller's request.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, request: &str) -> io::Result<()> {
        self.write(self.written(request))
    }

    /// Calls, and acknowledges a 200. Gives the final answer.
    ///
    /// # Errors
    /// When none comes within five seconds.
    pub fn call(&mut self, caller: &mut Caller, media: SocketAddr) -> io::Result<String> {
        self.send(&caller.invite(media))?;
        let answer = self.final_answer(&caller.call_id, "INVITE")?;
        caller.learn(&answer);
        self.send(&caller.ack())?;
        Ok(answer)
    }

    /// Waits for the final answer to a request of one call, passing over everything else.
    ///
    /// # Errors
    /// `TimedOut` when nothing comes for five seconds; `UnexpectedEof` when the far end closes.
    pub fn final_answer(&mut self, call_id: &str, method: &str) -> io::Result<String> {
        loop {
            let message = self.receive()?;
            if sip_text::status(&message).is_some_and(|status| status >= 200)
                && sip_text::method(&message) == Some(method)
                && sip_text::header(&message, "Call-ID") == Some(call_id)
            {
                return Ok(message);
            }
        }
    }

    /// Waits for a request of the far end's, passing over everything else.
    ///
    /// # Errors
    /// As [`final_answer`](Self::final_answer).
    pub fn request(&mut self, method: &str) -> io::Result<String> {
        loop {
            let message = self.receive()?;
            if sip_text::status(&message).is_none() && sip_text::method(&message) == Some(method) {
                return Ok(message);
            }
        }
    }

    /// The next message, whole; line breaks before it are passed over.
    ///
    /// # Errors
    /// As [`final_answer`](Self::final_answer).
    pub fn receive(&mut self) -> io::Result<String> {
        loop {
            let breaks = self.unread.iter().take_while(|byte| b"\r\n".contains(byte));
            self.unread.drain(..breaks.count());
            if let Some(message) = self.take_message() {
                return Ok(message);
            }
            self.read_more()?;
        }
    }

    /// Waits for exactly these bytes.
    ///
    /// # Errors
    /// When others come, or none.
    pub fn expect_bytes(&mut self, expected: &[u8]) -> io::Result<()> {
        while self.unread.len() < expected.len() {
            self.read_more()?;
        }
        let found: Vec<u8> = self.unread.drain(..expected.len()).collect();
        match found == expected {
            true => Ok(()),
            false => Err(io::Error::other(format!("{found:?} is not {expected:?}"))),
        }
    }

    /// Waits until the far end closes, and says whether it said nothing before.
    ///
    /// # Errors
    /// `TimedOut` when it does neither for five seconds.
    pub fn closed_in_silence(&mut self) -> io::Result<bool> {
        match self.read_more() {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(error),
            // By FIN, or by RST where something of ours was not read any more.
            Err(_) => Ok(self.unread.is_empty()),
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "nothing in time"))
            }
            Err(error) => Err(error),
        }
    }

    fn take_message(&mut self) -> Option<String> {
        let head = self
            .unread
            .windows(4)
            .position(|window| window == b"\r\n\r\n")?
            + 4;
        let text = String::from_utf8_lossy(&self.unread[..head]).into_owned();
        let length: usize = sip_text::header(&text, "Content-Length")?.parse().ok()?;
        if self.unread.len() < head + length {
            return None;
        }
        let message: Vec<u8> = self.unread.drain(..head + length).collect();
        Some(String::from_utf8_lossy(&message).into_owned())
    }
}
