//! The origin, in the crowd's own process: it knows who asks for what, and when.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::crowd::Crowd;
use crate::plan::Ends;

const HEAD_MAX: usize = 16 * 1024;
const PAGE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nX-Crowd: 1\r\nContent-Length: 7\r\n";
const REVOKE: &str = "Seawall-Room: revoke\r\n";
const BODY: &str = "\r\ninside\n";

/// Takes connections until the end.
pub(crate) async fn serve(listener: TcpListener, crowd: Rc<Crowd>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::task::spawn_local(connection(stream, Rc::clone(&crowd)));
    }
}

async fn connection(mut stream: TcpStream, crowd: Rc<Crowd>) -> Option<()> {
    // Without it, loopback answers may wait 40 ms for an acknowledgement.
    stream.set_nodelay(true).ok()?;
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let (visitor, page, head) = loop {
            if let Some(asked) = parse(&bytes)? {
                break asked;
            }
            if bytes.len() > HEAD_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        bytes.drain(..head);
        crowd.at_origin(visitor);
        tokio::time::sleep(Duration::from_millis(crowd.plan.page_ms)).await;
        let ends = crowd.leaves_origin(visitor, page) && crowd.plan.ends == Ends::Revoke;
        let page = [PAGE, if ends { REVOKE } else { "" }, BODY].concat();
        stream.write_all(page.as_bytes()).await.ok()?;
    }
}

/// The visitor's number, the page's, and the head's length; `Some(None)`: more is to come.
fn parse(bytes: &[u8]) -> Option<Option<(u32, u8, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes).ok()? else { return Some(None) };
    let field = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("x-visitor"));
    let value = field.and_then(|field| std::str::from_utf8(field.value).ok()).unwrap_or_default();
    let (visitor, page) = value.split_once('/').unwrap_or_default();
    Some(Some((visitor.parse().unwrap_or(u32::MAX), page.parse().unwrap_or_default(), head)))
}
