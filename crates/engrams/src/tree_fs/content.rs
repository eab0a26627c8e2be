//! Reading a file's content: holes are fed as zeros without reading them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::stat::FileStat;

/// The content of an open file, up to the size it had when it was opened.
///
/// That limit is what makes reading a file that grows as fast as it is read come to an end; a file that claims
/// to be empty (as those of `/proc` do) is read to its end.
#[derive(Debug)]
pub(super) struct Content<'a> {
    file: &'a File,
    position: u64,
    /// `None`: read to the end.
    limit: Option<u64>,
    /// The end of the stretch of data that begins at or before `position`; `u64::MAX` where holes do not matter.
    data_end: u64,
}

impl<'a> Content<'a> {
    /// The content of `file`, which `stat` describes; `sparse` as [`has_holes`] said.
    pub(super) fn new(file: &'a File, stat: &FileStat, sparse: bool) -> Self {
        let limit = (stat.size > 0).then_some(stat.size);
        Self { file, position: 0, limit, data_end: if sparse { 0 } else { u64::MAX } }
    }

    /// Bytes of hole at the position, at most up to `limit`; 0 in data.
    fn hole(&mut self, limit: u64) -> u64 {
        if self.position < self.data_end {
            return 0;
        }
        match seek(self.file, SeekFrom::Data(self.position)) {
            Ok(data) if data > self.position => data.min(limit) - self.position,
            Ok(_) => {
                // No end of the data to be had: all the rest is data.
                self.data_end = seek(self.file, SeekFrom::Hole(self.position))
                    .ok()
                    .filter(|&end| end > self.position)
                    .unwrap_or(u64::MAX);
                0
            }
            Err(Errno::NXIO) => limit - self.position,
            Err(_) => {
                self.data_end = u64::MAX;
                0
            }
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wanted = buffer.len() as u64;
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(self.position);
            if left == 0 || wanted == 0 {
                return Ok(0);
            }
            wanted = wanted.min(left);
            let hole = self.hole(limit);
            if hole > 0 {
                // No more than the buffer's length, so it fits.
                let zeros = hole.min(wanted) as usize;
                buffer[..zeros].fill(0);
                self.position += zeros as u64;
                return Ok(zeros);
            }
            wanted = wanted.min(self.data_end - self.position);
        }
        let read = self.file.read_at(&mut buffer[..wanted as usize], self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// Whether the file has holes: it takes less room than its size, and the system knows of a hole before its end.
pub(super) fn has_holes(file: &File, stat: &FileStat) -> bool {
    stat.allocated < stat.size && seek(file, SeekFrom::Hole(0)).is_ok_and(|hole| hole < stat.size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn stat(file: &File) -> FileStat {
        rustix::fs::fstat(file).unwrap().into()
    }

    #[test]
    fn holes_read_as_zeros_wherever_they_are() {
        let mut file = tempfile::tempfile().unwrap();
        let mut expected = vec![0_u8; 3 << 20];
        for at in [1 << 20, (2 << 20) - 5] {
            file.write_all_at(b"some data", at as u64).unwrap();
            expected[at..at + 9].copy_from_slice(b"some data");
        }
        file.set_len(3 << 20).unwrap();
        file.flush().unwrap();
        let stat = stat(&file);
        let sparse = has_holes(&file, &stat);
        let mut read = Vec::new();
        Content::new(&file, &stat, sparse).read_to_end(&mut read).unwrap();
        assert!(read == expected);
        read.clear();
        Content::new(&file, &stat, false).read_to_end(&mut read).unwrap();
        assert!(read == expected);
    }

    #[test]
    fn a_dense_file_has_no_holes_and_a_growing_one_ends() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 100_000], 0).unwrap();
        let stat = stat(&file);
        assert!(!has_holes(&file, &stat));
        file.write_all_at(&[8; 10], 100_000).unwrap();
        let mut read = Vec::new();
        Content::new(&file, &stat, false).read_to_end(&mut read).unwrap();
        assert_eq!(read, vec![7; 100_000]);
    }

    #[test]
    fn what_claims_to_be_empty_is_read_to_its_end() {
        let Ok(file) = File::open("/proc/self/status") else { return };
        let mut read = Vec::new();
        Content::new(&file, &stat(&file), false).read_to_end(&mut read).unwrap();
        assert!(!read.is_empty());
    }
}
