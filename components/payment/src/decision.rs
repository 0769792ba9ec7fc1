//! Whether an amount is paid.

/// The most that is paid at once unless the configuration says otherwise, in cents.
pub const LIMIT_DEFAULT: i64 = 100_000;

/// The answer of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The amount was paid.
    Completed,
    /// It was not, for this reason.
    Declined(String),
}

impl Decision {
    /// Pays amounts up to the customer's limit; both are cents.
    pub fn of(amount: i64, limit: i64) -> Self {
        if amount <= limit {
            return Self::Completed;
        }
        Self::Declined(format!("The total of {} is above the limit of {}.", euros(amount), euros(limit)))
    }

    /// As it is stored and shown.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Declined(_) => "declined",
        }
    }

    /// Why not, in words for the customer.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Completed => None,
            Self::Declined(reason) => Some(reason),
        }
    }
}

fn euros(cents: i64) -> String {
    format!("{}.{:02} €", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_above_the_limit_is_declined() {
        assert_eq!(Decision::of(100_000, LIMIT_DEFAULT), Decision::Completed);
        let declined = Decision::of(100_001, LIMIT_DEFAULT);
        assert_eq!(declined.status(), "declined");
        assert_eq!(declined.reason(), Some("The total of 1000.01 € is above the limit of 1000.00 €."));
    }
}
