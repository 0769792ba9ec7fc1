//! Results that are larger than memory.

use std::marker::PhantomData;
use std::vec;

use serde::de::DeserializeOwned;

use super::{Error, Value, host, row};

/// How many rows are fetched at a time.
const BATCH_ROWS: u32 = 256;

/// The rows of a query, one after the other; an error is the last item.
#[derive(Debug)]
pub struct Cursor<T> {
    cursor: host::Cursor,
    columns: Vec<String>,
    batch: vec::IntoIter<Vec<Value>>,
    ended: bool,
    row: PhantomData<fn() -> T>,
}

/// Runs a query whose result may be larger than memory.
///
/// # Errors
/// [`Error::Statement`] when the SQL is wrong; [`Error::Limit`] for too many open cursors.
pub fn cursor<T: DeserializeOwned>(sql: &str, parameters: &[Value]) -> Result<Cursor<T>, Error> {
    let cursor = host::Cursor::open(sql, parameters)?;
    let columns = cursor.columns();
    Ok(Cursor { cursor, columns, batch: Vec::new().into_iter(), ended: false, row: PhantomData })
}

impl<T: DeserializeOwned> Iterator for Cursor<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.fetch().transpose()?;
        let row = next.and_then(|values| row::one(&self.columns, values));
        self.ended = row.is_err();
        Some(row)
    }
}

impl<T> Cursor<T> {
    fn fetch(&mut self) -> Result<Option<Vec<Value>>, Error> {
        if let Some(values) = self.batch.next() {
            return Ok(Some(values));
        }
        self.batch = self.cursor.next(BATCH_ROWS)?.into_iter();
        let first = self.batch.next();
        self.ended = first.is_none();
        Ok(first)
    }
}
