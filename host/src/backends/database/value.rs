//! Values, rows and parameters as a service sees them.

/// One value of a row or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// Stored as 0 or 1, and read back as an integer.
    Boolean(bool),
    /// A signed integer of 64 bits.
    Integer(i64),
    /// A floating-point number of 64 bits.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The answer of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowSet {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, their values in the order of the columns.
    pub rows: Vec<Vec<Value>>,
}

/// What a value costs in memory beside its text or bytes.
const VALUE_BYTES: usize = 32;

impl Value {
    /// How much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        VALUE_BYTES
            + match self {
                Self::Text(text) => text.len(),
                Self::Blob(blob) => blob.len(),
                _ => 0,
            }
    }
}
