//! A client of HTTP/1 that sends the bytes it is told to, and reads strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub version: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Clean,
    Cut,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends; a peer that has closed is found out by reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// `fields` are whole lines, each with its CRLF.
    #[track_caller]
    pub fn get(&mut self, path: &str, fields: &str) -> Answer {
        self.send(get(path, fields)).answer()
    }

    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let (answer, end) = self.answer_and_end(true);
        assert_eq!(end, End::Clean, "the body was cut: {answer:?}");
        answer
    }

    /// To a HEAD: no body, whatever Content-Length says.
    #[track_caller]
    pub fn answer_to_head(&mut self) -> Answer {
        self.answer_and_end(false).0
    }

    #[track_caller]
    pub fn answer_and_end(&mut self, with_body: bool) -> (Answer, End) {
        let mut answer = self.head();
        if !with_body || matches!(answer.status, 100..=199 | 204 | 304) {
            return (answer, End::Clean);
        }
        let end = if answer.field("transfer-encoding") == Some("chunked") {
            self.chunks(&mut answer.body)
        } else if let Some(length) = answer.field("content-length") {
            let length: usize = length.parse().unwrap();
            let end = if self.fill_to(length) { End::Clean } else { End::Cut };
            let there = length.min(self.read.len());
            answer.body = self.read.drain(..there).collect();
            end
        } else {
            while self.more() {}
            answer.body = std::mem::take(&mut self.read);
            End::Clean
        };
        (answer, end)
    }

    /// Whether an answer comes that looks whole; none if not even its head did.
    pub fn looks_whole(&mut self) -> Option<(Answer, End)> {
        self.head_end().map(|_| self.answer_and_end(true))
    }

    fn head_end(&mut self) -> Option<usize> {
        loop {
            if let Some(at) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                return Some(at);
            }
            if !self.more() {
                return None;
            }
        }
    }

    #[track_caller]
    pub fn head(&mut self) -> Answer {
        let Some(end) = self.head_end() else {
            panic!("closed before an answer's head was whole: {:?}", String::from_utf8_lossy(&self.read));
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let text = String::from_utf8_lossy(&head);
        let mut lines = text.trim_end().split("\r\n");
        let mut first = lines.next().unwrap().splitn(3, ' ');
        let version = first.next().unwrap().to_owned();
        assert!(version.starts_with("HTTP/1."), "no status line: {text:?}");
        let status = first.next().unwrap().parse().unwrap();
        let fields = lines
            .map(|l| l.split_once(':').unwrap())
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        Answer { status, version, fields, body: Vec::new() }
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        assert!(self.fill_to(count), "closed after {:?}", String::from_utf8_lossy(&self.read));
        self.read.drain(..count).collect()
    }

    /// Reads a body of so many bytes, keeping nothing; how many came.
    pub fn skip(&mut self, count: u64) -> u64 {
        let mut seen = self.read.len().min(count as usize) as u64;
        self.read.drain(..seen as usize);
        let mut buffer = vec![0; 256 << 10];
        while seen < count {
            let most = buffer.len().min((count - seen) as usize);
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) | Err(_) => break,
                Ok(n) => seen += n as u64,
            }
        }
        seen
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> End {
        loop {
            let Some(at) = self.line_end() else { return End::Cut };
            let line: Vec<u8> = self.read.drain(..at + 2).collect();
            let size = std::str::from_utf8(&line).unwrap().trim();
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            if !self.fill_to(size + 2) {
                body.extend_from_slice(&self.read);
                return End::Cut;
            }
            body.extend(self.read.drain(..size));
            assert_eq!(self.read.drain(..2).collect::<Vec<_>>(), b"\r\n");
            if size == 0 {
                return End::Clean;
            }
        }
    }

    fn line_end(&mut self) -> Option<usize> {
        loop {
            if let Some(at) = self.read.windows(2).position(|w| w == b"\r\n") {
                return Some(at);
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn fill_to(&mut self, length: usize) -> bool {
        while self.read.len() < length {
            if !self.more() {
                return false;
            }
        }
        true
    }

    /// False: the peer has closed. A timeout is a failure of the test's.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                self.read.extend_from_slice(&buffer[..n]);
                true
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came for {PATIENCE:?}; so far: {:?}", String::from_utf8_lossy(&self.read))
            }
            Err(_) => false,
        }
    }

    /// Asserts an orderly end: nothing more comes, and no reset.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        let mut rest = std::mem::take(&mut self.read);
        self.stream.read_to_end(&mut rest).expect("an orderly close, not a reset");
        assert!(rest.is_empty(), "more came before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Asserts that another request on this connection is answered.
    #[track_caller]
    pub fn assert_kept(&mut self) {
        assert!(self.read.is_empty(), "more came than asked for: {:?}", String::from_utf8_lossy(&self.read));
        let live = self.get("/.seawall/live", "");
        assert_eq!((live.status, live.text()), (200, "ok\n".to_owned()));
    }

    pub fn end_of_input(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.text()))
    }

    /// The cookies that it sets, as a client sends them back.
    pub fn cookies(&self) -> String {
        let pairs = self.all("set-cookie").into_iter().map(|c| c.split(';').next().unwrap().to_owned());
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// A whole number of seconds, from 1 up.
    #[track_caller]
    pub fn retry_after(&self) -> u64 {
        let seconds = self.field("retry-after").unwrap_or_else(|| panic!("no Retry-After: {self:?}"));
        let seconds = seconds.parse().unwrap();
        assert!(seconds >= 1);
        seconds
    }

    /// The reason in problem+json.
    #[track_caller]
    pub fn reason(&self) -> String {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["reason"].as_str().unwrap().to_owned()
    }
}

pub fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

pub fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len())
}
