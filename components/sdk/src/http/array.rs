//! A JSON array that is written while its items are found, for lists of any length.

use std::io::{self, Read};

use serde::Serialize;

use crate::error::{Error, Result};

/// Reads as `[…]`; an item that is an error breaks it off.
pub(super) struct ArrayReader<I> {
    items: Option<I>,
    text: Vec<u8>,
    read: usize,
    is_first: bool,
}

impl<I> ArrayReader<I> {
    pub(super) fn new(items: I) -> Self {
        Self { items: Some(items), text: Vec::new(), read: 0, is_first: true }
    }
}

impl<I, T, E> ArrayReader<I>
where
    I: Iterator<Item = Result<T, E>>,
    T: Serialize,
    E: Into<Error>,
{
    /// Puts the next item, or the end, into the text.
    fn advance(&mut self) -> io::Result<()> {
        let Some(items) = &mut self.items else {
            return Ok(());
        };
        self.text.clear();
        self.read = 0;
        if self.is_first {
            self.text.push(b'[');
        }
        match items.next() {
            Some(item) => {
                let item = item.map_err(|error| io::Error::other(error.into()))?;
                if !self.is_first {
                    self.text.push(b',');
                }
                serde_json::to_writer(&mut self.text, &item)?;
            }
            None => {
                self.text.push(b']');
                self.items = None;
            }
        }
        self.is_first = false;
        Ok(())
    }
}

impl<I, T, E> Read for ArrayReader<I>
where
    I: Iterator<Item = Result<T, E>>,
    T: Serialize,
    E: Into<Error>,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.read == self.text.len() {
                if self.items.is_none() {
                    break;
                }
                self.advance()?;
            }
            let unread = &self.text[self.read..];
            let length = unread.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&unread[..length]);
            filled += length;
            self.read += length;
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_one_document() {
        let check = |items: &[&str], expected: &str| {
            let items: Vec<Result<String>> = items.iter().map(|item| Ok(item.to_string())).collect();
            let mut text = String::new();
            ArrayReader::new(items.into_iter()).read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        };
        check(&[], "[]");
        check(&["a"], r#"["a"]"#);
        check(&["a", "b", "c"], r#"["a","b","c"]"#);
    }

    #[test]
    fn a_failing_item_breaks_it_off() {
        let items = vec![Ok(1), Err(Error::internal("away")), Ok(3)];
        let mut text = String::new();
        assert!(ArrayReader::new(items.into_iter()).read_to_string(&mut text).is_err());
    }
}
