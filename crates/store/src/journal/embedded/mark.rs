//! The last synced number, kept beside the log, so that a log which lost its end is noticed.
//!
//! The log's engine cuts a log at the first place that it can't read, whether that is the torn end of a write nobody
//! was told of or a damaged page before thousands of acknowledged events. Only a second witness can tell the two apart.
//! The file is written after each sync and not synced itself: it survives the process at once and the machine after
//! the kernel's next write-back, and it never runs ahead of the log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use cardata_domain::Sequence;

/// Two slots, each in a disk sector of its own and written in turn, so that a torn write leaves the other.
const SLOT_DISTANCE_BYTES: u64 = 4096;

/// The open file.
pub(super) struct Mark {
    file: File,
    next_slot: u64,
}

impl Mark {
    /// Opens or makes the file at `path` and gives the number in it: `None` when the file is new.
    ///
    /// # Errors
    /// `InvalidData` when neither slot holds a number.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Sequence>)> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let newest = [0, 1].map(|slot| number_in(&bytes, slot)).into_iter().flatten().max();
        if newest.is_none() && !bytes.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} holds no number; remove it to open the journal without it",
                    path.display()
                ),
            ));
        }
        let next_slot = u64::from(newest.is_some() && number_in(&bytes, 0) == newest);
        Ok((Self { file, next_slot }, newest))
    }

    /// Notes that everything up to `sequence` is synced.
    pub(super) fn set(&mut self, sequence: Sequence) -> io::Result<()> {
        let mut slot = [0; 16];
        slot[..8].copy_from_slice(&sequence.0.to_be_bytes());
        slot[8..].copy_from_slice(&(!sequence.0).to_be_bytes());
        self.file.seek(SeekFrom::Start(self.next_slot * SLOT_DISTANCE_BYTES))?;
        self.file.write_all(&slot)?;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }

    /// Makes the file survive a crash of the machine.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The number in `slot`, if its complement stands beside it.
fn number_in(bytes: &[u8], slot: u64) -> Option<Sequence> {
    let start = usize::try_from(slot * SLOT_DISTANCE_BYTES).ok()?;
    let half = |at: usize| {
        bytes.get(at..at + 8).and_then(|half| half.try_into().ok()).map(u64::from_be_bytes)
    };
    let number = half(start)?;
    (half(start + 8)? == !number).then_some(Sequence(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_slot_leaves_the_number_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("synced");
        let (mut mark, before) = Mark::open(&path).unwrap();
        assert_eq!(before, None);
        for number in [7, 9, 12] {
            mark.set(Sequence(number)).unwrap();
        }
        let (_, newest) = Mark::open(&path).unwrap();
        assert_eq!(newest, Some(Sequence(12)));

        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (mut mark, newest) = Mark::open(&path).unwrap();
        assert_eq!(newest, Some(Sequence(9)));
        // The good slot is not the one that is written next.
        mark.set(Sequence(13)).unwrap();
        assert_eq!(Mark::open(&path).unwrap().1, Some(Sequence(13)));

        std::fs::write(&path, [0; 16]).unwrap();
        assert_eq!(Mark::open(&path).err().unwrap().kind(), io::ErrorKind::InvalidData);
    }
}
