//! An origin that does what a test tells it to: a thread a connection, blocking, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
}

/// How many are at work at once. Work ends before its answer is written: once that is read, the
/// next request may rightly be sent, and often arrives before this side has looked again.
#[derive(Clone, Default)]
pub struct Busy(Arc<(AtomicUsize, AtomicUsize)>);

impl Busy {
    pub fn during(&self, work: impl FnOnce()) {
        let (now, most) = &*self.0;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        work();
        now.fetch_sub(1, Ordering::SeqCst);
    }

    pub fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Origin {
    /// Answers each request, its body read, by `answer`. It is in flight from its head until
    /// `answer` returns; false ends the connection.
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), answer)
    }

    /// The same, at an address of the test's choice.
    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let answer = Arc::new(answer);
        let shared = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (shared.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &seen, answer.as_ref()));
            }
        });
        Self { address, seen }
    }

    /// Says which request it answers: enough for most.
    pub fn plain() -> Self {
        Self::start(|request, to| ok(to, "", format!("{} {}\n", request.method, request.target)))
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.requests.lock().unwrap().len()
    }

    /// How many for this target.
    pub fn count_of(&self, target: &str) -> usize {
        self.seen.requests.lock().unwrap().iter().filter(|r| r.target == target).count()
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn in_flight(&self) -> usize {
        self.seen.in_flight.load(Ordering::SeqCst)
    }
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A 200 with these field lines, each with its CRLF.
pub fn ok(to: &mut TcpStream, fields: &str, body: impl AsRef<[u8]>) -> bool {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    to.write_all(&[head.as_bytes(), body].concat()).is_ok()
}

struct InFlight<'s>(&'s Seen);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(stream: TcpStream, seen: &Seen, answer: &(dyn Fn(&Request, &mut TcpStream) -> bool + Send + Sync)) {
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let _ = stream.set_nodelay(true);
    let Ok(mut to) = stream.try_clone() else { return };
    let mut from = BufReader::new(stream);
    while let Some(mut request) = head(&mut from) {
        seen.in_flight.fetch_add(1, Ordering::SeqCst);
        let _in_flight = InFlight(seen);
        if request.field("expect").is_some() {
            let _ = to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let Some(body) = body(&request, &mut from) else { return };
        request.body = body;
        seen.requests.lock().unwrap().push(request.clone());
        if !answer(&request, &mut to) {
            let _ = to.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn head(from: &mut impl BufRead) -> Option<Request> {
    let mut first = String::new();
    if from.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut parts = first.split_whitespace().map(str::to_owned);
    let (method, target) = (parts.next()?, parts.next()?);
    let mut fields = Vec::new();
    loop {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let Some((name, value)) = line.split_once(':') else { break };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Request { method, target, fields, body: Vec::new() })
}

fn body(request: &Request, from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if request.field("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok()?;
            let size = u64::from_str_radix(line.trim(), 16).ok()?;
            let before = body.len();
            from.take(size).read_to_end(&mut body).ok()?;
            from.read_line(&mut String::new()).ok()?;
            if size == 0 {
                return Some(body);
            }
            if ((body.len() - before) as u64) < size {
                return None;
            }
        }
    }
    let length: u64 = request.field("content-length").map_or(0, |l| l.parse().unwrap());
    from.take(length).read_to_end(&mut body).ok()?;
    (body.len() as u64 == length).then_some(body)
}

/// Closed until it is opened; whoever comes waits.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn close(&self) {
        *self.0.0.lock().unwrap() = false;
    }

    pub fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap());
    }
}
