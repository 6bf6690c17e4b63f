//! Readers and their fill, without an origin.

use super::*;

fn head() -> Head {
    Head { status: 200, fields: Vec::new(), stored: true, ..Head::default() }
}

async fn all(mut reader: Reader) -> Result<Vec<u8>, BrokenOff> {
    let mut body = Vec::new();
    while let Some(chunk) = reader.next().await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[tokio::test]
async fn every_reader_gets_the_whole_body_whenever_it_comes() {
    let fills = Fills::default();
    let Joined::Leads(fill, leader) = fills.join(b"k") else { panic!() };
    let Joined::Follows(early) = fills.join(b"k") else { panic!() };
    fill.open(head(), For::Everyone, true);
    fill.push(Bytes::from_static(b"one "));
    drop(leader);
    let Joined::Follows(late) = fills.join(b"k") else { panic!() };
    fill.push(Bytes::from_static(b"two"));
    fill.close(true);
    assert_eq!(late.head().await.unwrap().status, 200);
    assert_eq!(all(early).await.unwrap(), b"one two");
    assert_eq!(all(late).await.unwrap(), b"one two");
    assert_eq!(fill.body().unwrap(), "one two");
}

#[tokio::test]
async fn a_private_answer_is_its_leaders_alone() {
    let (fill, leader) = Fill::begin();
    let other = fill.follow().unwrap();
    fill.open(head(), For::Leader, false);
    fill.push(Bytes::from_static(b"mine"));
    fill.close(true);
    assert_eq!(other.head().await.unwrap_err(), Missed::Alone);
    assert!(fill.follow().is_none());
    assert_eq!(all(leader).await.unwrap(), b"mine");
}

#[tokio::test]
async fn a_cut_body_never_ends_cleanly() {
    let (fill, reader) = Fill::begin();
    fill.open(head(), For::Everyone, true);
    fill.push(Bytes::from_static(b"half"));
    fill.close(false);
    fill.close(true);
    assert_eq!(all(reader).await, Err(BrokenOff));
}

#[tokio::test]
async fn a_fill_without_readers_is_abandoned_and_takes_no_more() {
    let (fill, reader) = Fill::begin();
    drop(reader);
    fill.until_abandoned().await;
    assert!(fill.follow().is_none());
}

#[tokio::test]
async fn the_slowest_reader_sets_the_pace_of_what_is_not_kept() {
    let (fill, mut slow) = Fill::begin();
    fill.open(head(), For::Leader, false);
    fill.push(vec![0; WINDOW].into());
    fill.push(vec![0; 1].into());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(fill.poll_room(&mut cx).is_pending());
    assert_eq!(slow.next().await.unwrap().unwrap().len(), WINDOW);
    assert!(fill.poll_room(&mut cx).is_ready());
    assert!(fill.body().is_none());
}
