//! The generations of WASI.

use std::str::FromStr;

/// The generation of WASI for which a component is made. It decides the engine that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wasi {
    /// 0.2: an instance handles one call at a time.
    P2,
    /// 0.3: an instance handles several at a time.
    P3,
}

/// A generation that there is not.
#[derive(Debug, thiserror::Error)]
#[error("there is no WASI {0}")]
pub struct UnknownWasi(String);

impl Wasi {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P2 => "p2",
            Self::P3 => "p3",
        }
    }
}

impl FromStr for Wasi {
    type Err = UnknownWasi;

    fn from_str(text: &str) -> Result<Self, UnknownWasi> {
        [Self::P2, Self::P3]
            .into_iter()
            .find(|wasi| wasi.as_str() == text)
            .ok_or_else(|| UnknownWasi(text.into()))
    }
}
