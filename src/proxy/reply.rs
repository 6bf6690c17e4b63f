//! Writing Seawall's own answers through a pingora session: HTTP/2, and HTTP/1 where pingora has
//! the connection already.

use bytes::Bytes;
use compact_str::ToCompactString;
use http::header::{self, HeaderName};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::Result;
use super::fill::{Head, Reader};
use crate::pipeline::answer::{Answer, Content, Prepared};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::snapshot::File;

/// Writes an answer whole; answers the bytes of its body.
///
/// # Errors
/// The client is gone, or takes nothing.
pub async fn write(passage: &mut Passage, session: &mut Session, answer: Answer) -> Result<u64> {
    let mut reason = answer.reason;
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
            response.insert_header(header::CONTENT_LENGTH, entry.body().len())?;
            (response, entry.body().clone())
        }
        Content::Part(entry, part) => {
            let mut response = ResponseHeader::build(part.status, Some(entry.fields().len() + 4))?;
            for (name, value) in part.fields_of(entry.fields()) {
                response.append_header(name.clone(), value.clone())?;
            }
            for (name, value) in part.own_fields() {
                response.insert_header(HeaderName::from_static(name), value)?;
            }
            response.insert_header(header::CONTENT_LENGTH, part.body.len())?;
            (response, part.body)
        }
        Content::NotModified(entry) => {
            let mut response = copied(304, entry.fields())?;
            response.remove_header(&header::CONTENT_TYPE);
            (response, Bytes::new())
        }
        Content::FileNotModified(file) => {
            let mut response = copied(304, &file.fields)?;
            response.remove_header(&header::CONTENT_TYPE);
            (response, Bytes::new())
        }
        Content::File(file) => match file_of(passage, &file).await {
            Some(found) => found,
            None => {
                reason = Reason::LevelRefused;
                extra.retain(|(name, _)| *name != "cache-status");
                extra.push(("retry-after", passage.spread(super::RETRY_AFTER_FAILURE).to_compact_string()));
                prepared(&passage.site.pages.page(reason, passage.format))?
            }
        },
    };
    passage.because(reason);
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
    session.write_response_header(Box::new(response), body.is_empty()).await?;
    if !body.is_empty() {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(sent)
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
                session.write_response_body(Some(piece), false).await?;
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

fn copied(status: u16, fields: &[(HeaderName, http::HeaderValue)]) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build(status, Some(fields.len() + 4))?;
    for (name, value) in fields {
        response.append_header(name.clone(), value.clone())?;
    }
    Ok(response)
}

async fn file_of(passage: &Passage, file: &File) -> Option<(ResponseHeader, Bytes)> {
    let body = passage.site.snapshot.read(file).await.ok()?;
    let mut response = copied(file.status, &file.fields).ok()?;
    response.insert_header(header::CONTENT_LENGTH, body.len()).ok()?;
    Some((response, body))
}
