//! What a client wants to order, and whether that can be an order.

use std::collections::{HashMap, HashSet};

use hostel_sdk::Problem;
use serde::Deserialize;

use crate::neighbours::Product;
use crate::order::Line;

/// More different products than anybody puts into one parcel.
const LINES_MAX: usize = 50;

/// The most of one product in an order.
const QUANTITY_MAX: i64 = 10_000;

/// Longer than any sku of this shop.
const SKU_BYTES_MAX: usize = 64;

/// The longest customer id, which is a subject (OpenID Connect Core 1.0, 2).
const CUSTOMER_BYTES_MAX: usize = 255;

/// The body of `POST /api/orders`.
#[derive(Debug, Deserialize)]
pub struct Draft {
    /// Who orders; the caller when it is left out.
    pub customer: Option<String>,
    /// What.
    pub lines: Vec<Wish>,
}

/// One line of a draft.
#[derive(Debug, Deserialize)]
pub struct Wish {
    /// Which product.
    pub sku: String,
    /// How many of it.
    pub quantity: i64,
}

impl Draft {
    /// Checks what can be known without asking anybody.
    pub fn check(&self) -> Result<(), Problem> {
        if let Some(customer) = &self.customer
            && !(1..=CUSTOMER_BYTES_MAX).contains(&customer.len())
        {
            return Err(unknown_customer(customer));
        }
        if !(1..=LINES_MAX).contains(&self.lines.len()) {
            return Err(Problem::unprocessable(format!("An order has 1 to {LINES_MAX} lines.")));
        }
        let mut seen = HashSet::new();
        for (index, wish) in self.lines.iter().enumerate() {
            let refuse = |detail: String| Problem::unprocessable(detail).with("line", index);
            if !(1..=QUANTITY_MAX).contains(&wish.quantity) {
                return Err(refuse(format!("A quantity is 1 to {QUANTITY_MAX}, not {}.", wish.quantity)));
            }
            if wish.sku.is_empty() || wish.sku.len() > SKU_BYTES_MAX {
                return Err(unknown_sku(&wish.sku, index));
            }
            if !seen.insert(&wish.sku) {
                return Err(refuse(format!("{} stands in two lines; add them up in one.", wish.sku)));
            }
        }
        Ok(())
    }

    /// The lines with names and prices of the catalogue, and their sum.
    pub fn price(&self, catalogue: &[Product]) -> Result<(Vec<Line>, i64), Problem> {
        let catalogue: HashMap<&str, &Product> =
            catalogue.iter().map(|product| (product.sku.as_str(), product)).collect();
        let mut lines = Vec::with_capacity(self.lines.len());
        let mut total: i64 = 0;
        for (index, wish) in self.lines.iter().enumerate() {
            let product = catalogue.get(wish.sku.as_str()).ok_or_else(|| unknown_sku(&wish.sku, index))?;
            let sum = product.price.checked_mul(wish.quantity).and_then(|line| line.checked_add(total));
            total = sum.ok_or_else(|| Problem::unprocessable("The total is more than can be counted."))?;
            lines.push(Line {
                sku: wish.sku.clone(),
                name: product.name.clone(),
                quantity: wish.quantity,
                price: product.price,
            });
        }
        Ok((lines, total))
    }
}

/// The answer for a customer whom nobody knows.
pub fn unknown_customer(id: &str) -> Problem {
    let shown: String = id.chars().take(CUSTOMER_BYTES_MAX).collect();
    let detail = format!("There is no customer {shown:?}; POST /api/customers makes one.");
    Problem::unprocessable(detail).with("field", "customer")
}

fn unknown_sku(sku: &str, index: usize) -> Problem {
    let shown: String = sku.chars().take(SKU_BYTES_MAX).collect();
    Problem::unprocessable(format!("The shop has no product {shown:?}.")).with("line", index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(wishes: &[(&str, i64)]) -> Draft {
        let wish = |(sku, quantity): &(&str, i64)| Wish { sku: (*sku).into(), quantity: *quantity };
        Draft { customer: None, lines: wishes.iter().map(wish).collect() }
    }

    fn product(sku: &str, price: i64) -> Product {
        Product { sku: sku.into(), name: sku.to_uppercase(), price }
    }

    #[test]
    fn a_draft_has_lines_of_one_to_ten_thousand() {
        let check = |wishes: &[(&str, i64)], expected: bool| {
            assert_eq!(draft(wishes).check().is_ok(), expected, "{wishes:?}");
        };
        check(&[("mug", 1)], true);
        check(&[("mug", 10_000), ("pen", 1)], true);
        check(&[], false);
        check(&[("mug", 0)], false);
        check(&[("mug", -1)], false);
        check(&[("mug", 10_001)], false);
        check(&[("mug", i64::MAX)], false);
        check(&[("", 1)], false);
        check(&[("mug", 1), ("mug", 2)], false);
        let names: Vec<String> = (0..=LINES_MAX).map(|index| format!("sku-{index}")).collect();
        let wishes: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        check(&wishes[..LINES_MAX], true);
        check(&wishes, false);
    }

    #[test]
    fn a_customer_who_is_named_has_an_id() {
        let check = |customer: &str, expected: bool| {
            let draft = Draft { customer: Some(customer.into()), ..draft(&[("mug", 1)]) };
            assert_eq!(draft.check().is_ok(), expected, "{customer:?}");
        };
        check("ada", true);
        check("", false);
        check(&"a".repeat(CUSTOMER_BYTES_MAX), true);
        check(&"a".repeat(CUSTOMER_BYTES_MAX + 1), false);
    }

    #[test]
    fn prices_come_from_the_catalogue() {
        let catalogue = [product("mug", 1490), product("pen", 6400)];
        let (lines, total) = draft(&[("pen", 2), ("mug", 1)]).price(&catalogue).unwrap();
        assert_eq!(total, 14_290);
        assert_eq!(lines[0], Line { sku: "pen".into(), name: "PEN".into(), quantity: 2, price: 6400 });
        assert_eq!(draft(&[("hat", 1)]).price(&catalogue).unwrap_err().status(), 422);
    }

    #[test]
    fn a_total_beyond_all_numbers_is_refused() {
        let catalogue = [product("star", i64::MAX / 2), product("moon", i64::MAX / 2)];
        assert!(draft(&[("star", 2)]).price(&catalogue).is_ok());
        assert!(draft(&[("star", 3)]).price(&catalogue).is_err());
        assert!(draft(&[("star", 2), ("moon", 1)]).price(&catalogue).is_err());
    }
}
