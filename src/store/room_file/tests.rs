use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn slot(slot: u32, kind: SlotKind) -> SlotRecord {
    SlotRecord { slot, kind, generation: 70 + slot, ticket: 700 + u64::from(slot), started_unix_s: 1_790_000_000 }
}

fn changes(frontier: u64, slots: Vec<SlotRecord>) -> Changes {
    let line = LineHeader {
        frontier,
        next: frontier + 10,
        high: frontier + 4106,
        void: 1,
        opened_for: 1_790_000_000_000,
        undrawn: 3,
        drawn: 1,
        tag: LaneTag(0),
    };
    let draw = DrawRecord { lane: 2, nth: 7, first: 1, count: 2 };
    let header = Header {
        seed: [5; 32],
        generation: 99,
        stood_still_s: 17,
        clean: false,
        lines: vec![line, LineHeader { tag: LaneTag(9), ..line }],
        draws: vec![draw],
    };
    Changes { header, slots, invitations: vec![frontier], header_changed: true }
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
    assert_eq!(record.invitations, [1, 2, 3]);
    assert_eq!(record.slots, [slot(0, SlotKind::Free), slot(1, SlotKind::Active), slot(3, SlotKind::Leased)]);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_torn_header_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"torn", HEADER_SPACE + 30).unwrap();
    assert_eq!(reopened(dir.path()).header.lines[0].frontier, 2);
    // And the next write does not touch the one that is whole.
    let (mut room, _) = RoomFile::open(dir.path(), "launch").unwrap();
    room.write(&changes(9, Vec::new())).unwrap();
    drop(room);
    assert_eq!(reopened(dir.path()).header.lines[0].frontier, 9);
    file.write_all_at(b"torn", HEADER_SPACE + 30).unwrap();
    assert_eq!(reopened(dir.path()).header.lines[0].frontier, 2);
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
fn a_torn_invitation_is_none_and_hides_none_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path()).with_extension("invitations");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(21).unwrap();
    assert_eq!(reopened(dir.path()).invitations, [1, 2]);
    let (mut room, _) = RoomFile::open(dir.path(), "launch").unwrap();
    room.write(&changes(9, Vec::new())).unwrap();
    drop(room);
    assert_eq!(reopened(dir.path()).invitations, [1, 2, 9]);
}

#[test]
fn a_file_of_the_first_version_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = vec![0u8; 64];
    old[..6].copy_from_slice(b"SWRM\x01\0");
    fs::write(dir.path().join("room-launch.state"), old).unwrap();
    let error = RoomFile::open(dir.path(), "launch").unwrap_err().to_string();
    assert!(error.contains("another version"), "{error}");
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
    assert_eq!(reopened(dir.path()).header.lines[0].frontier, 3);
}

#[test]
fn a_room_killed_at_any_moment_goes_on_from_its_file() {
    use crate::clock::{Mono, Now};
    use crate::waiting_room::{Presented, Room, Visit};
    let policy = crate::waiting_room::for_tests(1);
    let now = Now { mono: Mono::ZERO, unix_ms: 1_790_000_000_000 };
    let dir = tempfile::tempdir().unwrap();
    let tick = |room: &mut Room, file: &mut RoomFile| {
        let changes = room.tick(now);
        file.write(&changes).unwrap();
        room.commit(&changes);
    };
    let (mut file, _) = RoomFile::open(dir.path(), "launch").unwrap();
    let mut room = Room::new(policy.clone(), [7; 32], now);
    tick(&mut room, &mut file);
    let Visit::Inside { session, .. } = room.visit(Presented::default(), now) else { panic!("inside") };
    let Visit::Stub { stub, .. } = room.visit(Presented::default(), now) else { panic!("a stub first") };
    let second = Presented { stub: Some(stub), ..Presented::default() };
    let Visit::Queued { ticket, .. } = room.visit(second, now) else { panic!("in line") };
    drop((room, file));
    let (mut file, record) = RoomFile::open(dir.path(), "launch").unwrap();
    let mut room = Room::restore(policy, &record.unwrap(), now);
    tick(&mut room, &mut file);
    let guest = Presented { session: Some(session), ..Presented::default() };
    assert_eq!(room.visit(guest, now), Visit::Inside { session, fresh: false });
    let waiting = Presented { ticket: Some(ticket), ..Presented::default() };
    let Visit::Queued { ticket: same, place, .. } = room.visit(waiting, now) else { panic!("still in line") };
    assert_eq!((same.number, place.position), (ticket.number, Some(1)));
}
