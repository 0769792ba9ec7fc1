//! What browsers see: cookies, forms that prove where they were made, pages.

mod cookie;
mod form_guard;
mod page;
pub mod views;

pub use cookie::Cookie;
pub use form_guard::FormGuard;
pub use page::{Page, see_other};
