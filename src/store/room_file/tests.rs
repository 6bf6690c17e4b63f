use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn slot(slot: u32, kind: SlotKind) -> SlotRecord {
    SlotRecord { slot, kind, generation: 70 + slot, ticket: 700 + u64::from(slot), started_unix_s: 1_790_000_000 }
}

fn changes(frontier: u64, slots: Vec<SlotRecord>) -> Changes {
    let header = Header { seed: 5, frontier, next: frontier + 10, high: frontier + 4106, generation: 99, clean: false };
    Changes { header, slots, header_changed: true }
}

fn reopened(dir: &Path) -> Record {
    RoomFile::open(dir, "launch").unwrap().1.unwrap()
}

/// Three writes: header copies 1, 0, 1.
fn written(dir: &Path) -> PathBuf {
    let (mut file, record) = RoomFile::open(dir, "launch").unwrap();
    assert_eq!(record, None);
    file.write(&changes(1, vec![slot(0, SlotKind::Reserved), slot(1, SlotKind::Active)])).unwrap();
    file.write(&changes(2, vec![slot(3, SlotKind::Leased)])).unwrap();
    file.write(&changes(3, vec![slot(0, SlotKind::Free)])).unwrap();
    file.path().to_owned()
}

#[test]
fn what_was_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let record = reopened(dir.path());
    assert_eq!(record.header, changes(3, Vec::new()).header);
    assert_eq!(record.slots, [slot(0, SlotKind::Free), slot(1, SlotKind::Active), slot(3, SlotKind::Leased)]);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_torn_header_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"torn", HEADER_SPACE + 30).unwrap();
    assert_eq!(reopened(dir.path()).header.frontier, 2);
    // And the next write does not touch the one that is whole.
    let (mut room, _) = RoomFile::open(dir.path(), "launch").unwrap();
    room.write(&changes(9, Vec::new())).unwrap();
    drop(room);
    assert_eq!(reopened(dir.path()).header.frontier, 9);
    file.write_all_at(b"torn", HEADER_SPACE + 30).unwrap();
    assert_eq!(reopened(dir.path()).header.frontier, 2);
}

#[test]
fn a_torn_slot_counts_as_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"torn", SLOTS_AT + 36).unwrap();
    let record = reopened(dir.path());
    assert_eq!(record.slots.get(1).map(|s| s.kind), Some(SlotKind::Damaged));
}

#[test]
fn slots_cut_off_count_as_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    OpenOptions::new().write(true).open(&path).unwrap().set_len(SLOTS_AT + 40).unwrap();
    let kinds: Vec<_> = reopened(dir.path()).slots.iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [SlotKind::Free, SlotKind::Damaged, SlotKind::Damaged, SlotKind::Damaged]);
}

#[test]
fn a_second_owner_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = RoomFile::open(dir.path(), "launch").unwrap();
    let error = RoomFile::open(dir.path(), "launch").unwrap_err();
    assert!(matches!(error, StoreError::Owned { .. }));
    assert!(error.to_string().contains("room-launch.state"), "{error}");
    drop(first);
    RoomFile::open(dir.path(), "launch").unwrap();
}

#[test]
fn a_foreign_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("room-launch.state");
    fs::write(&path, "not ours").unwrap();
    let error = RoomFile::open(dir.path(), "launch").unwrap_err().to_string();
    assert!(error.contains("room-launch.state") && error.contains("move the file away"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "not ours");
}

#[test]
fn another_rooms_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    fs::rename(path, dir.path().join("room-sale.state")).unwrap();
    let error = RoomFile::open(dir.path(), "sale").unwrap_err().to_string();
    assert!(error.contains("another room's"), "{error}");
}

#[test]
fn a_file_that_was_made_and_never_written_is_a_room_without_a_past() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("room-launch.state"), "").unwrap();
    assert_eq!(RoomFile::open(dir.path(), "launch").unwrap().1, None);
}

#[test]
fn a_name_never_leaves_the_directory_nor_meets_another() {
    assert_eq!(file_name("launch-2"), "room-launch-2.state");
    let odd = file_name("../launch");
    assert!(odd.starts_with("room-___launch-") && !odd.contains('/'), "{odd}");
    assert_ne!(odd, file_name("___launch"));
    assert_ne!(file_name(&"x".repeat(65)), file_name(&"x".repeat(66)));
}

#[test]
fn a_disk_that_takes_nothing_is_an_error_and_what_was_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let (mut room, _) = RoomFile::open(dir.path(), "launch").unwrap();
    room.file = File::open(&path).unwrap();
    let error = room.write(&changes(9, vec![slot(1, SlotKind::Free)])).unwrap_err().to_string();
    assert!(error.contains("room-launch.state"), "{error}");
    drop(room);
    assert_eq!(reopened(dir.path()).header.frontier, 3);
}

#[test]
fn a_room_killed_at_any_moment_goes_on_from_its_file() {
    use crate::clock::{Mono, Now};
    use crate::waiting_room::{Presented, Room, Visit};
    let policy = crate::policy::WaitingRoom {
        name: "launch".into(),
        capacity: 1.try_into().unwrap(),
        admit: None,
        session_idle: std::time::Duration::from_secs(60),
        session_max: std::time::Duration::from_secs(600),
        claim: std::time::Duration::from_secs(60),
        place_hold: std::time::Duration::from_secs(600),
        max_queue: 100.try_into().unwrap(),
    };
    let now = Now { mono: Mono::ZERO, unix_ms: 1_790_000_000_000 };
    let dir = tempfile::tempdir().unwrap();
    let tick = |room: &mut Room, file: &mut RoomFile| {
        let changes = room.tick(now);
        file.write(&changes).unwrap();
        room.commit(&changes);
    };
    let (mut file, _) = RoomFile::open(dir.path(), "launch").unwrap();
    let mut room = Room::new(policy.clone(), 7, now);
    tick(&mut room, &mut file);
    let Visit::Inside { session, .. } = room.visit(Presented::default(), now) else { panic!("inside") };
    let Visit::Queued { ticket, .. } = room.visit(Presented::default(), now) else { panic!("in line") };
    drop((room, file));
    let (mut file, record) = RoomFile::open(dir.path(), "launch").unwrap();
    let mut room = Room::restore(policy, &record.unwrap(), now);
    tick(&mut room, &mut file);
    let guest = Presented { session: Some(session), ticket: None };
    assert_eq!(room.visit(guest, now), Visit::Inside { session, fresh: false });
    let waiting = Presented { session: None, ticket: Some(ticket) };
    let Visit::Queued { ticket: same, place } = room.visit(waiting, now) else { panic!("still in line") };
    assert_eq!((same.number, place.position), (ticket.number, 1));
}
