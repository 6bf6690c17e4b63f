//! One waiting room's state in one file, and its used invitations in another.
//!
//! Two copies of a header, each in a 4 KiB block of its own and written in turn, then a 32-byte
//! record for each slot at its fixed place, all with checksums. A write is the changed slots and
//! one header, then one fdatasync: a crash in the middle leaves the other header, and a slot torn
//! in two counts as occupied. Used invitations are appended, eight bytes each, and made durable
//! before the header is. Numbers are little-endian.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{StoreError, sync_dir};
use crate::waiting_room::invitation::LaneTag;
use crate::waiting_room::record::{Changes, DrawRecord, Header, LineHeader, Record, SlotKind, SlotRecord};

const MAGIC: [u8; 4] = *b"SWRM";
const VERSION: u16 = 2;
/// A block of the disk.
const HEADER_LEN: usize = 4096;
/// Distance of the two headers.
const HEADER_SPACE: u64 = HEADER_LEN as u64;
/// Draws that a header has room for, beside as many lines as a room may have; the newest count.
const DRAWS_MAX: usize = 112;
/// Bytes of the file of used invitations that are read: a million of them.
const INVITATIONS_BYTES_MAX: u64 = 8_000_000;
const SLOTS_AT: u64 = 2 * HEADER_SPACE;
const SLOT_LEN: usize = 32;
const CHECKSUM_LEN: usize = 8;
/// Longest part of a room's name that a file's name carries.
const NAME_MAX: usize = 64;

/// The state file of one room, owned by this process as long as it is open.
#[derive(Debug)]
pub struct RoomFile {
    file: File,
    path: PathBuf,
    room: u32,
    /// Of the last header written; its parity says which copy is next.
    sequence: u64,
    /// Slots that the file has a record for.
    slots: u32,
    /// Made when the first invitation is used.
    invitations: Option<File>,
}

impl RoomFile {
    /// Opens, or makes, the file of `room` in `dir`. Without a record, the room has no past.
    pub fn open(dir: &Path, room: &str) -> Result<(Self, Option<Record>), StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io(dir, "make the state directory"))?;
        let path = dir.join(file_name(room));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io(&path, "open"))?;
        lock(&file, &path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(StoreError::io(&path, "read"))?;
        let mut this = Self { file, path, room: room_hash(room), sequence: 0, slots: 0, invitations: None };
        if bytes.iter().all(|b| *b == 0) {
            // Made and never written, by a process that was killed at once.
            sync_dir(dir)?;
            return Ok((this, None));
        }
        let record = this.read(&bytes).map_err(|why| StoreError::Foreign {
            path: this.path.clone(),
            room: room.to_owned(),
            why,
        })?;
        let invitations = this.read_invitations()?;
        Ok((this, Some(Record { invitations, ..record })))
    }

    /// Makes the changes durable. After an error they may be there in part, which does no harm:
    /// hand them to [`crate::waiting_room::Room::abandon`] and write what the next tick says.
    pub fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.try_write(changes).map_err(StoreError::io(&self.path, "write"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Those used so far; the last one may be torn, and was then never answered.
    fn read_invitations(&self) -> Result<Vec<u64>, StoreError> {
        let path = self.invitations_path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io(&path, "open")(error)),
        };
        let mut bytes = Vec::new();
        file.take(INVITATIONS_BYTES_MAX).read_to_end(&mut bytes).map_err(StoreError::io(&path, "read"))?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|id| u64::from_le_bytes(*id)).collect())
    }

    fn append_invitations(&mut self, ids: &[u64]) -> io::Result<()> {
        use std::io::Write as _;
        if ids.is_empty() {
            return Ok(());
        }
        let path = self.invitations_path();
        let file = match &mut self.invitations {
            Some(file) => file,
            none => none.insert(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?),
        };
        // A crash may have left a torn one, after which nothing would be read right.
        let whole = file.metadata()?.len() / 8 * 8;
        file.set_len(whole)?;
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        file.write_all(&bytes)?;
        file.sync_data()
    }

    fn invitations_path(&self) -> PathBuf {
        self.path.with_extension("invitations")
    }

    fn try_write(&mut self, changes: &Changes) -> io::Result<()> {
        self.append_invitations(&changes.invitations)?;
        for slot in &changes.slots {
            let at = SLOTS_AT + u64::from(slot.slot) * SLOT_LEN as u64;
            self.file.write_all_at(&encode_slot(slot), at)?;
            self.slots = self.slots.max(slot.slot.saturating_add(1));
        }
        // The copy that is not the newest: if this write tears it, the newest is still whole. The
        // sequence moves on only when all is durable, so a failed write is repeated over itself.
        let sequence = self.sequence + 1;
        let header = self.encode_header(&changes.header, sequence);
        self.file.write_all_at(&header, sequence % 2 * HEADER_SPACE)?;
        self.file.sync_data()?;
        self.sequence = sequence;
        Ok(())
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Record, &'static str> {
        let copies = [0, HEADER_SPACE as usize].map(|at| self.decode_header(bytes.get(at..).unwrap_or_default()));
        let newest = copies.iter().flatten().max_by_key(|c| c.sequence);
        let Some(newest) = newest else {
            let first = copies.iter().find_map(|c| c.as_ref().err()).copied();
            return Err(first.unwrap_or("it is damaged"));
        };
        self.sequence = newest.sequence;
        self.slots = newest.slots;
        let region = bytes.get(SLOTS_AT as usize..).unwrap_or_default();
        let count = region.len().div_ceil(SLOT_LEN).max(newest.slots as usize);
        let mut slots = Vec::new();
        for index in 0..count {
            let raw = region.get(index * SLOT_LEN..).unwrap_or_default();
            let Ok(slot) = u32::try_from(index) else { break };
            slots.extend(decode_slot(slot, raw, slot < newest.slots));
        }
        Ok(Record { header: newest.header.clone(), slots, invitations: Vec::new() })
    }

    fn encode_header(&self, header: &Header, sequence: u64) -> [u8; HEADER_LEN] {
        let mut out = Block::<HEADER_LEN>::default();
        out.put(&MAGIC);
        out.put(&VERSION.to_le_bytes());
        out.put(&u16::from(header.clean).to_le_bytes());
        out.put(&self.room.to_le_bytes());
        out.put(&header.generation.to_le_bytes());
        out.put(&sequence.to_le_bytes());
        out.put(&header.seed);
        out.put(&header.stood_still_s.to_le_bytes());
        out.put(&self.slots.to_le_bytes());
        let draws = header.draws.get(header.draws.len().saturating_sub(DRAWS_MAX)..).unwrap_or_default();
        // Both are bounded far below.
        out.put(&[header.lines.len() as u8, draws.len() as u8]);
        for line in &header.lines {
            out.put(&line.tag.0.to_le_bytes());
            out.put(&line.frontier.to_le_bytes());
            out.put(&line.next.to_le_bytes());
            // A block of numbers is bounded; u32 says it all.
            let ahead = u32::try_from(line.high.saturating_sub(line.next)).unwrap_or(u32::MAX);
            out.put(&ahead.to_le_bytes());
            for number in [line.void, line.opened_for, line.undrawn] {
                out.put(&number.to_le_bytes());
            }
            out.put(&line.drawn.to_le_bytes());
        }
        for draw in draws {
            out.put(&[draw.lane]);
            out.put(&draw.nth.to_le_bytes());
            out.put(&draw.first.to_le_bytes());
            out.put(&draw.count.to_le_bytes());
        }
        out.seal(b"seawall room header")
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Found, &'static str> {
        let old = bytes.get(4..6).is_some_and(|version| bytes.starts_with(&MAGIC) && version == [1, 0]);
        let another = "it was written by another version of Seawall";
        let mut fields = Fields::open(bytes.first_chunk::<HEADER_LEN>(), b"seawall room header").ok_or(if old {
            another
        } else {
            "it is damaged, or something else"
        })?;
        if fields.take() != MAGIC {
            return Err("it is something else");
        }
        if u16::from_le_bytes(fields.take()) != VERSION {
            return Err(another);
        }
        let clean = u16::from_le_bytes(fields.take()) == 1;
        if fields.u32() != self.room {
            return Err("it is another room's");
        }
        let (generation, sequence) = (fields.u32(), fields.u64());
        let (seed, stood_still_s, slots) = (fields.take(), fields.u64(), fields.u32());
        let [lines, draws] = fields.take();
        let lines = (0..lines).map(|_| fields.line()).collect();
        let draws = (0..draws).map(|_| fields.draw()).collect();
        let header = Header { seed, generation, stood_still_s, clean, lines, draws };
        Ok(Found { header, sequence, slots })
    }
}

struct Found {
    header: Header,
    sequence: u64,
    slots: u32,
}

/// The state file's name: the room's, with all that is not plain replaced and, then, told apart by
/// its hash.
pub fn file_name(room: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut name: String = room.chars().take(NAME_MAX).map(|c| if plain(c) { c } else { '_' }).collect();
    if name != room {
        name.push_str(&format!("-{:08x}", room_hash(room)));
    }
    format!("room-{name}.state")
}

fn room_hash(room: &str) -> u32 {
    blake3::hash(room.as_bytes()).as_bytes().first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    // SAFETY: flock takes any descriptor, and this one is open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock {
        return Err(StoreError::Owned { path: path.to_owned() });
    }
    Err(StoreError::io(path, "lock")(error))
}

fn encode_slot(slot: &SlotRecord) -> [u8; SLOT_LEN] {
    let kind: u8 = match slot.kind {
        SlotKind::Free => 1,
        SlotKind::Leased => 2,
        SlotKind::Reserved => 3,
        // The room never writes what it could not read; if it did, occupied is the safe word.
        SlotKind::Active | SlotKind::Damaged => 4,
    };
    let mut out = Block::<SLOT_LEN>::default();
    out.put(&[kind, 0, 0, 0]);
    out.put(&slot.generation.to_le_bytes());
    out.put(&slot.ticket.to_le_bytes());
    out.put(&slot.started_unix_s.to_le_bytes());
    out.put(&[0; 4]);
    out.seal(&slot.slot.to_le_bytes())
}

/// The slot's record; none if it was never used. `known`: the header says that it was.
fn decode_slot(slot: u32, raw: &[u8], known: bool) -> Option<SlotRecord> {
    let damaged = SlotRecord { slot, kind: SlotKind::Damaged, generation: 0, ticket: 0, started_unix_s: 0 };
    let chunk = raw.first_chunk::<SLOT_LEN>();
    if raw.iter().take(SLOT_LEN).all(|b| *b == 0) && (!known || chunk.is_some()) {
        return None;
    }
    let Some(mut fields) = Fields::open(chunk, &slot.to_le_bytes()) else { return Some(damaged) };
    let [kind, ..] = fields.take::<4>();
    let (generation, ticket, started_unix_s) = (fields.u32(), fields.u64(), fields.u32());
    let kind = match kind {
        1 => SlotKind::Free,
        2 => SlotKind::Leased,
        3 => SlotKind::Reserved,
        4 => SlotKind::Active,
        _ => SlotKind::Damaged,
    };
    Some(SlotRecord { slot, kind, generation, ticket, started_unix_s })
}

/// A block being filled, closed by a checksum over it and its context.
struct Block<const LEN: usize> {
    bytes: [u8; LEN],
    at: usize,
}

impl<const LEN: usize> Default for Block<LEN> {
    fn default() -> Self {
        Self { bytes: [0; LEN], at: 0 }
    }
}

impl<const LEN: usize> Block<LEN> {
    fn put(&mut self, field: &[u8]) {
        let end = self.at + field.len();
        debug_assert!(end <= LEN);
        if let Some(to) = self.bytes.get_mut(self.at..end) {
            to.copy_from_slice(field);
        }
        self.at = end;
    }

    fn seal(mut self, context: &[u8]) -> [u8; LEN] {
        self.at = LEN - CHECKSUM_LEN;
        let sum = checksum(self.bytes.get(..self.at).unwrap_or_default(), context);
        self.put(&sum);
        self.bytes
    }
}

/// The fields of a block whose checksum holds; past the end there are zeros.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn open<const LEN: usize>(block: Option<&'a [u8; LEN]>, context: &[u8]) -> Option<Self> {
        let (fields, sum) = block?.split_at_checked(LEN - CHECKSUM_LEN)?;
        (sum == checksum(fields, context)).then_some(Self { rest: fields })
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.rest.split_first_chunk() else { return [0; N] };
        self.rest = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn line(&mut self) -> LineHeader {
        let (tag, frontier, next) = (LaneTag(self.u32()), self.u64(), self.u64());
        let high = next.saturating_add(u64::from(self.u32()));
        let (void, opened_for, undrawn, drawn) = (self.u64(), self.u64(), self.u64(), self.u32());
        LineHeader { tag, frontier, next, high, void, opened_for, undrawn, drawn }
    }

    fn draw(&mut self) -> DrawRecord {
        let [lane] = self.take();
        DrawRecord { lane, nth: self.u32(), first: self.u64(), count: self.u64() }
    }
}

fn checksum(bytes: &[u8], context: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash = blake3::Hasher::new().update(context).update(bytes).finalize();
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests;
