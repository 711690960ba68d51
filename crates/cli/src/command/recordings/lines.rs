//! The lines of a file, whatever is in it, in little memory.

use std::io::{self, BufRead};

/// What some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads lines of at most a limit; of longer ones only that they are there.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    length_max: usize,
    line: Vec<u8>,
    number: u64,
    /// Bytes that were read.
    pub(crate) position: u64,
}

/// A line without its ending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, length_max: usize) -> Self {
        Self { input, length_max, line: Vec::new(), number: 0, position: 0 }
    }

    /// The next line and its number, from 1; `None` after the last one.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        self.line.clear();
        let (mut read, mut too_long) = (0, false);
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let text = &chunk[..end.unwrap_or(chunk.len())];
            too_long |= self.line.len() + text.len() > self.length_max;
            if !too_long {
                self.line.extend_from_slice(text);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            read += used;
            if end.is_some() {
                break;
            }
        }
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.position += read as u64;
        if too_long {
            return Ok(Some((self.number, Line::TooLong)));
        }
        let mut line = self.line.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        Ok(Some((self.number, Line::Whole(line.strip_suffix(b"\r").unwrap_or(line)))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(text: &[u8]) -> Vec<Option<String>> {
        // A buffer smaller than a line, so that lines come in pieces.
        let mut lines = Lines::new(BufReader::with_capacity(3, text), 10);
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            assert_eq!(number, all.len() as u64 + 1);
            all.push(match line {
                Line::Whole(line) => Some(String::from_utf8_lossy(line).into_owned()),
                Line::TooLong => None,
            });
        }
        assert_eq!(lines.position, text.len() as u64);
        all
    }

    fn some(lines: &[&str]) -> Vec<Option<String>> {
        lines.iter().map(|line| Some((*line).to_owned())).collect()
    }

    #[test]
    fn endings_and_a_byte_order_mark_do_not_belong_to_a_line() {
        assert_eq!(lines(b"\xef\xbb\xbfa,b\r\n\r\n1,2\n3"), some(&["a,b", "", "1,2", "3"]));
        assert_eq!(lines(b""), some(&[]));
        assert_eq!(lines(b"\n"), some(&[""]));
    }

    #[test]
    fn a_line_beyond_the_limit_is_skipped_and_the_next_one_read() {
        let mut text = b"0123456789\n01234567890\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 5000));
        text.extend(b"\nlast");
        let read = lines(&text);
        assert_eq!(read, [Some("0123456789".to_owned()), None, None, Some("last".to_owned())]);
    }
}
