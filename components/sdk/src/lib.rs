//! hostel-sdk
