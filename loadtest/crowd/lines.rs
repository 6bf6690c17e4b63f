//! Connections, and one exchange over each at a time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::plan::{Connections, Plan};

/// Fields of an answer at most, and its bytes.
const FIELDS_MAX: usize = 40;
const ANSWER_MAX: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("connect")]
    Connect(std::io::Error),
    #[error("cut off")]
    CutOff,
    #[error("no HTTP")]
    Form,
}

impl Error {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::CutOff => "cut off",
            Self::Form => "no HTTP",
        }
    }
}

/// An answer's bytes, and where its parts are.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) from_origin: bool,
    pub(crate) retry_after: Option<f64>,
    /// Name and value of a cookie, or the value of the ticket's field.
    pub(crate) cookie: Option<(String, String)>,
    pub(crate) ticket: Option<String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Lines {
    edge: SocketAddr,
    kind: Connections,
    per_address: u32,
    /// The one used last comes first.
    shared: RefCell<Vec<TcpStream>>,
    own: RefCell<HashMap<u32, TcpStream>>,
    /// Opened in all.
    pub(crate) opened: Cell<u64>,
}

impl Lines {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            edge: plan.edge,
            kind: plan.connections,
            per_address: plan.per_address.max(1),
            shared: RefCell::default(),
            own: RefCell::default(),
            opened: Cell::default(),
        }
    }

    /// Sends it and reads the answer. A kept connection that the edge closed in the same moment is
    /// no failure: as every browser does, the request goes over a new one. So it does after a 307, by
    /// which an edge that hands over sends everyone to the same URL.
    pub(crate) async fn exchange(&self, visitor: u32, request: &[u8]) -> Result<Answer, Error> {
        if let Some(kept) = self.kept(visitor) {
            match self.over(kept, visitor, request).await {
                Err(Error::CutOff) => {}
                Ok(answer) if answer.status == 307 => {}
                answered => return answered,
            }
        }
        let fresh = self.connect(visitor).await.map_err(Error::Connect)?;
        self.over(fresh, visitor, request).await
    }

    /// This visitor has gone home.
    pub(crate) fn hang_up(&self, visitor: u32) {
        self.own.borrow_mut().remove(&visitor);
    }

    pub(crate) fn open(&self) -> usize {
        self.own.borrow().len() + self.shared.borrow().len()
    }

    fn kept(&self, visitor: u32) -> Option<TcpStream> {
        match self.kind {
            Connections::Virtual => self.shared.borrow_mut().pop(),
            Connections::Own => self.own.borrow_mut().remove(&visitor),
            Connections::Closing => None,
        }
    }

    async fn connect(&self, visitor: u32) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if self.kind != Connections::Virtual {
            let from = address(127, visitor / self.per_address);
            socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        }
        let stream = socket.connect(self.edge).await?;
        stream.set_nodelay(true)?;
        self.opened.set(self.opened.get() + 1);
        Ok(stream)
    }

    async fn over(&self, mut stream: TcpStream, visitor: u32, request: &[u8]) -> Result<Answer, Error> {
        stream.write_all(request).await.map_err(|_| Error::CutOff)?;
        let (answer, closes) = read(&mut stream).await?;
        match self.kind {
            Connections::Virtual if !closes => self.shared.borrow_mut().push(stream),
            Connections::Own if !closes => drop(self.own.borrow_mut().insert(visitor, stream)),
            _ => {}
        }
        Ok(answer)
    }
}

/// An address of one's own in a network, beginning at its second /16.
pub(crate) fn address(network: u8, number: u32) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(network) << 24) + (1 << 16) + number % 0x00fe_0000)
}

/// The next answer, and whether the edge closes after it.
async fn read(stream: &mut TcpStream) -> Result<(Answer, bool), Error> {
    let mut bytes = Vec::with_capacity(2048);
    loop {
        if bytes.len() > ANSWER_MAX {
            return Err(Error::Form);
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Err(Error::CutOff),
            Ok(_) => {}
        }
        if let Some((mut answer, closes, begins, ends)) = parse(&bytes)? {
            while bytes.len() < ends {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return Err(Error::CutOff);
                }
            }
            bytes.truncate(ends);
            answer.body = bytes.split_off(begins);
            return Ok((answer, closes));
        }
    }
}

/// The head, whether the connection ends with it, and where the body begins and ends; none: more
/// is to come.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, bool, usize, usize)>, Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(begins) = head.parse(bytes).map_err(|_| Error::Form)? else { return Ok(None) };
    let mut answer = Answer { status: head.code.unwrap_or_default(), ..Answer::default() };
    let (mut closes, mut length) = (false, None);
    for field in head.headers.iter() {
        let value = std::str::from_utf8(field.value).unwrap_or_default();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            length = value.parse::<usize>().ok();
        } else if is("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if is("retry-after") {
            answer.retry_after = value.parse().ok();
        } else if is("set-cookie") {
            answer.cookie = cookie(value);
        } else if is("seawall-ticket") {
            answer.ticket = Some(value.to_owned());
        } else if is("x-crowd") {
            answer.from_origin = true;
        }
    }
    let length = length.filter(|length| *length <= ANSWER_MAX).ok_or(Error::Form)?;
    Ok(Some((answer, closes, begins, begins + length)))
}

/// Name and value; one that is taken away has no value.
fn cookie(field: &str) -> Option<(String, String)> {
    let (pair, rest) = field.split_once(';').unwrap_or((field, ""));
    let (name, value) = pair.split_once('=')?;
    let gone = rest.split(';').any(|part| part.trim().eq_ignore_ascii_case("max-age=0"));
    Some((name.trim().to_owned(), if gone { String::new() } else { value.trim().to_owned() }))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that fails should say where")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_only_with_its_head() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nSet-Cookie: seawall_r=abc; Path=/\r\nRetry-After: 7\r\n\r\n{}";
        assert!(parse(&text[..20]).unwrap().is_none());
        let (answer, closes, begins, ends) = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, closes, ends - begins, ends), (503, false, 2, text.len()));
        assert_eq!(answer.cookie, Some(("seawall_r".to_owned(), "abc".to_owned())));
        assert_eq!(answer.retry_after, Some(7.0));
        assert!(matches!(parse(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Error::Form)), "how long is it?");
    }

    #[test]
    fn everyone_has_an_address_of_their_own() {
        assert_eq!(address(127, 0), Ipv4Addr::new(127, 1, 0, 0));
        assert_eq!(address(10, 70_000), Ipv4Addr::new(10, 2, 17, 112));
    }
}
