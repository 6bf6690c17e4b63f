//! Writing Seawall's own answers through a pingora session: HTTP/2, and HTTP/1 where pingora has
//! the connection already.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::fill::{Head, Reader};
use super::{Result, snapshot_file};
use crate::cache::precondition::is_repeated;
use crate::cache::range::Partial;
use crate::pipeline::answer::{Answer, Content, Prepared};
use crate::pipeline::passage::Passage;
use crate::snapshot::File;

/// Writes an answer whole; answers the bytes of its body.
///
/// # Errors
/// The client is gone, or takes nothing.
pub async fn write(passage: &mut Passage, session: &mut Session, answer: Answer) -> Result<u64> {
    let answer = snapshot_file::read(passage, answer).await;
    let mut extra = passage.common_fields();
    extra.extend(answer.fields);
    let (mut response, mut body) = match answer.content {
        Content::Prepared(page) => prepared(&page)?,
        Content::Made { status, content_type, cache_control, body } => {
            let mut response = made(status, content_type, body.len())?;
            response.insert_header(header::CACHE_CONTROL, cache_control)?;
            (response, body)
        }
        Content::Copy(entry) => {
            let mut response = copied(entry.status(), entry.fields())?;
            // RFC 9110 §8.6: never in a 204.
            if entry.status() != 204 {
                response.insert_header(header::CONTENT_LENGTH, entry.body().len())?;
            }
            (response, entry.body().clone())
        }
        Content::Part(entry, part) => partial(*part, entry.fields())?,
        Content::NotModified(entry) => (not_modified(entry.fields())?, Bytes::new()),
        Content::FileNotModified(file) => (not_modified(&file.fields)?, Bytes::new()),
        Content::File(file, _) => snapshot(&file, Bytes::new())?,
        Content::FileRead(file, body) => snapshot(&file, body)?,
        Content::FilePart(file, part) => partial(*part, &file.fields)?,
    };
    passage.because(answer.reason);
    for (name, value) in extra {
        response.append_header(HeaderName::from_static(name), value.as_str())?;
    }
    if session.req_header().method == http::Method::HEAD {
        body.clear();
    }
    send(session, response, body).await
}

async fn send(session: &mut Session, response: ResponseHeader, body: Bytes) -> Result<u64> {
    let sent = body.len() as u64;
    // Whatever it is that fails here, it is on the way to the client.
    session.write_response_header(Box::new(response), body.is_empty()).await.map_err(|e| e.into_down())?;
    if !body.is_empty() {
        write_pieces(session, body, true).await?;
    }
    Ok(sent)
}

/// Bytes of a body that are written under one deadline: pingora's is for each write as a whole, and one who reads slowly
/// but steadily is to get it all.
const PIECE: usize = 64 << 10;

async fn write_pieces(session: &mut Session, mut body: Bytes, end: bool) -> Result<()> {
    while body.len() > PIECE {
        session.write_response_body(Some(body.split_to(PIECE)), false).await.map_err(|e| e.into_down())?;
    }
    session.write_response_body(Some(body), end).await.map_err(|e| e.into_down())
}

/// Writes a fill's answer as it comes; answers the bytes of its body.
///
/// # Errors
/// The client is gone, or the origin's body was cut: then the stream is not ended cleanly.
pub async fn follow(passage: &mut Passage, session: &mut Session, head: &Head, mut reader: Reader) -> Result<u64> {
    let mut response = ResponseHeader::build(head.status, Some(head.fields.len() + 4))?;
    for (name, value) in head.fields_for(!reader.is_follower()) {
        response.append_header(name.clone(), value.as_slice())?;
    }
    if let Some(length) = head.length {
        response.insert_header(header::CONTENT_LENGTH, length)?;
    }
    let status = super::cache_status(passage, head, reader.is_follower());
    response.append_header("Cache-Status", status)?;
    for (name, value) in passage.common_fields() {
        response.append_header(HeaderName::from_static(name), value.as_str())?;
    }
    session.write_response_header(Box::new(response), false).await?;
    let mut sent = 0;
    loop {
        match reader.next().await {
            Ok(Some(piece)) => {
                sent += piece.len() as u64;
                write_pieces(session, piece, false).await?;
            }
            Ok(None) => {
                session.write_response_body(None, true).await?;
                return Ok(sent);
            }
            Err(cut) => return Err(Error::because(ErrorType::ReadError, "following a fill", cut).into_up()),
        }
    }
}

fn prepared(page: &Prepared) -> Result<(ResponseHeader, Bytes)> {
    let mut response = ResponseHeader::build(page.status, Some(page.fields.len() + 4))?;
    for (name, value) in &page.fields {
        response.append_header(HeaderName::from_static(name), value.as_str())?;
    }
    Ok((response, page.body.clone()))
}

fn made(status: u16, content_type: &str, length: usize) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build(status, Some(8))?;
    response.insert_header(header::CONTENT_TYPE, content_type)?;
    response.insert_header(header::CONTENT_LENGTH, length)?;
    response.insert_header(header::CACHE_CONTROL, "no-store")?;
    Ok(response)
}

fn copied(status: u16, fields: &[(HeaderName, HeaderValue)]) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build(status, Some(fields.len() + 4))?;
    for (name, value) in fields {
        response.append_header(name.clone(), value.clone())?;
    }
    Ok(response)
}

fn not_modified(fields: &[(HeaderName, HeaderValue)]) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build(304, Some(8))?;
    for (name, value) in fields.iter().filter(|(name, _)| is_repeated(name)) {
        response.append_header(name.clone(), value.clone())?;
    }
    Ok(response)
}

fn partial(part: Partial, whole: &[(HeaderName, HeaderValue)]) -> Result<(ResponseHeader, Bytes)> {
    let mut response = ResponseHeader::build(part.status, Some(whole.len() + 4))?;
    for (name, value) in part.fields_of(whole) {
        response.append_header(name.clone(), value.clone())?;
    }
    for (name, value) in part.own_fields() {
        response.insert_header(HeaderName::from_static(name), value)?;
    }
    response.insert_header(header::CONTENT_LENGTH, part.body.len())?;
    Ok((response, part.body))
}

fn snapshot(file: &File, body: Bytes) -> Result<(ResponseHeader, Bytes)> {
    let mut response = copied(file.status, &file.fields)?;
    response.insert_header(header::CONTENT_LENGTH, body.len())?;
    Ok((response, body))
}
