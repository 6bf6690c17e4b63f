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
    let Joined::Leads(fill, leader) = fills.join(b"k", true, |_| true) else { panic!() };
    let Joined::Follows(early) = fills.join(b"k", true, |_| true) else { panic!() };
    fill.open(head(), For::Everyone, true);
    fill.push(Bytes::from_static(b"one "));
    drop(leader);
    let Joined::Follows(late) = fills.join(b"k", true, |_| true) else { panic!() };
    fill.push(Bytes::from_static(b"two"));
    fill.close(true);
    assert_eq!(late.head().await.unwrap().status, 200);
    assert_eq!(all(early).await.unwrap(), b"one two");
    assert_eq!(all(late).await.unwrap(), b"one two");
    assert_eq!(fill.gather().unwrap(), "one two");
}

#[tokio::test]
async fn a_private_answer_is_its_leaders_alone() {
    let (fill, leader) = Fill::begin();
    let other = fill.follow().unwrap();
    fill.open(head(), For::Leader(Missed::Alone), false);
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
    assert_eq!(all(reader).await, Err(BrokenOff::ByOrigin));
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
    fill.open(head(), For::Leader(Missed::Alone), false);
    fill.push(vec![0; WINDOW].into());
    fill.push(vec![0; 1].into());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(fill.poll_room(&mut cx).is_pending());
    assert_eq!(slow.next().await.unwrap().unwrap().len(), WINDOW);
    assert!(fill.poll_room(&mut cx).is_ready());
    assert!(fill.gather().is_none());
}

#[tokio::test]
async fn others_are_told_what_the_leaders_answer_means_for_them() {
    let (fill, leader) = Fill::begin();
    let other = fill.follow().unwrap();
    let told = Missed::Refused(Reason::OriginError, Duration::from_secs(5));
    fill.open(head(), For::Leader(told), false);
    assert_eq!(other.head().await.unwrap_err(), told);
    assert!(leader.head().await.is_ok());
}

#[tokio::test]
async fn what_is_not_kept_can_be_followed_as_long_as_its_beginning_is_there() {
    let (fill, mut leader) = Fill::begin();
    fill.open(head(), For::Everyone, false);
    fill.push(vec![1; WINDOW].into());
    assert_eq!(leader.next().await.unwrap().unwrap().len(), WINDOW);
    let late = fill.follow().expect("the beginning is kept while there is room for it");
    fill.push(vec![2; 1].into());
    assert!(fill.poll_room(&mut Context::from_waker(Waker::noop())).is_pending(), "for the late one");
    leader.next().await.unwrap();
    drop(late);
    assert!(fill.follow().is_none(), "its beginning is gone");
    assert!(fill.poll_room(&mut Context::from_waker(Waker::noop())).is_ready());
    fill.close(true);
    assert_eq!(leader.next().await.unwrap(), None);
}

#[tokio::test]
async fn one_who_holds_up_the_others_is_cut_off_and_never_ends_cleanly() {
    let (fill, mut slow) = Fill::begin();
    let mut quick = fill.follow().unwrap();
    fill.open(head(), For::Everyone, false);
    let before = fill.pace();
    for _ in 0..5 {
        fill.push(vec![0; WINDOW / 4].into());
        quick.next().await.unwrap();
    }
    assert!(fill.poll_room(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(!fill.pace().is_kept_since(&before));
    fill.cut_slowest();
    assert_eq!(fill.readers(), 1);
    assert!(fill.poll_room(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(slow.next().await, Err(BrokenOff::TooSlow));
    drop(slow);
    fill.close(true);
    assert_eq!(quick.next().await.unwrap(), None);
    assert_eq!(fill.readers(), 1);
}

#[tokio::test]
async fn nobody_is_cut_off_while_nobody_waits() {
    let (fill, mut reader) = Fill::begin();
    let mut other = fill.follow().unwrap();
    fill.open(head(), For::Everyone, false);
    for _ in 0..6 {
        fill.push(vec![0; WINDOW / 4].into());
    }
    reader.next().await.unwrap();
    fill.cut_slowest();
    assert_eq!(fill.readers(), 2, "both are slow");
    assert!(other.next().await.is_ok());
}

#[tokio::test]
async fn readers_in_the_middle_take_the_rest_from_the_gathered_body() {
    let (fill, mut reader) = Fill::begin();
    fill.open(head(), For::Everyone, true);
    for piece in ["one ", "two ", "three"] {
        fill.push(piece.into());
    }
    assert_eq!(reader.next().await.unwrap().unwrap(), "one ");
    assert_eq!(fill.gather().unwrap(), "one two three");
    fill.close(true);
    assert_eq!(all(reader).await.unwrap(), b"two three");
}

#[tokio::test]
async fn ten_thousand_readers_of_a_window_take_their_turns() {
    let (fill, leader) = Fill::begin();
    let mut readers: Vec<_> = (0..9_999).map(|_| fill.follow().unwrap()).collect();
    readers.push(leader);
    fill.open(head(), For::Everyone, false);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..64 {
        fill.push(vec![0; WINDOW / 4].into());
        for reader in &mut readers {
            assert_eq!(reader.next().await.unwrap().unwrap().len(), WINDOW / 4);
        }
        assert!(fill.poll_room(&mut cx).is_ready());
    }
    fill.close(false);
    for reader in &mut readers {
        assert_eq!(reader.next().await, Err(BrokenOff::ByOrigin));
    }
}

/// What a herd costs without its sockets. The figure, not a bound: `cargo test --release --lib herd -- --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_of_ten_thousand_is_answered_by_one_fill() {
    const READERS: usize = 10_000;
    let clock = crate::clock::Clock::start();
    let fills = Arc::new(Fills::default());
    let Joined::Leads(fill, leader) = fills.join(b"k", true, |_| true) else { panic!() };
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let Joined::Follows(reader) = fills.join(b"k", true, |_| true) else { panic!() };
            tokio::spawn(async move {
                reader.head().await.unwrap();
                let body = all(reader).await.unwrap();
                (body.len(), clock.mono())
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answered = clock.mono();
    fill.open(head(), For::Everyone, true);
    fill.push(vec![b'x'; 16 << 10].into());
    fill.close(true);
    drop(leader);
    let mut took = Vec::with_capacity(READERS);
    for reader in readers {
        let (length, at) = reader.await.unwrap();
        assert_eq!(length, 16 << 10);
        took.push(at.since(answered));
    }
    took.sort();
    println!(
        "{READERS} readers of one fill: p50 {:?}, p99 {:?} after its answer",
        took[READERS / 2],
        took[READERS / 100 * 99]
    );
}
