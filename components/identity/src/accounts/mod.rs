//! Users: who they are, how they prove it, how long that is remembered, and how often somebody may try.

mod user;
mod password;
mod session;
mod address;
mod throttle;

pub use address::of as address_of;
pub use password::Password;
pub use session::{Session, SignedIn};
pub use throttle::{Admission, Throttle};
pub use user::{Registration, User};
