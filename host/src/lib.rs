//! Hostel.
pub mod names;
pub mod body;
