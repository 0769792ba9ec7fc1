//! The shop of the repository, run by the tests: its configuration, its orders, its invariants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::guests::{component, repository};
use super::host::Host;
use super::operator::Operator;
use super::port;

/// How long the saga of all orders may take once no more are placed.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(180);

/// A running shop.
pub struct Shop {
    /// Its host.
    pub host: Host,
    port: u16,
    operator: Arc<Operator>,
}

impl Shop {
    /// A shop that is ready.
    pub async fn open() -> Self {
        let port = port::free();
        let mut host = Host::prepare_on(port, &config(port));
        host.launch().await;
        let operator = Operator::new(host.path("gateway.toml"), &["--scope", "shop"]);
        Self { host, port, operator: Arc::new(operator) }
    }

    /// Its configuration.
    pub fn config(&self) -> String {
        config(self.port)
    }

    /// A client of its API who acts for every customer.
    pub fn client(&self) -> Client {
        let operator = self.operator.clone();
        self.host.client().with_tokens(move || operator.token())
    }

    /// A client of its API who acts for itself, under this name.
    pub fn client_of(&self, subject: &str) -> Client {
        let operator = Operator::new(self.host.path("gateway.toml"), &["--subject", subject]);
        self.host.client().with_tokens(move || operator.token())
    }

    /// A new customer's id.
    pub async fn customer(&self, name: &str) -> String {
        let email = format!("{name}@example.com");
        let answer = self.client().post("/api/customers", &json!({ "name": name, "email": email })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    /// Waits until an order has ended, and answers it.
    pub async fn ended(&self, order: &str) -> Value {
        let client = self.client();
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        loop {
            let answer = client.get(&format!("/api/orders/{order}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if is_final(&answer.body) {
                return answer.body;
            }
            assert!(
                Instant::now() < deadline,
                "the order has not ended: {answer:?}\n{}",
                self.host.run(&["messages"]).1
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every order has ended and the stock has followed, then checks all invariants of the shop.
    pub async fn check(&self, orders: &[String]) -> BTreeMap<String, u64> {
        let client = self.client();
        let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
        for id in orders {
            let order = self.ended(id).await;
            let status = order["status"].as_str().unwrap().to_owned();
            check_order(&client, &order).await;
            *statuses.entry(status).or_default() += 1;
        }
        self.check_stock(true).await;
        statuses
    }

    /// Checks the stock of every product; `at_rest`: waits until nothing is reserved any more.
    pub async fn check_stock(&self, at_rest: bool) {
        let client = self.client();
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        let products = client.get("/api/products").await;
        for product in products.body.as_array().unwrap() {
            let sku = product["sku"].as_str().unwrap();
            loop {
                let level = client.get(&format!("/api/stock/{sku}")).await;
                let number =
                    |name: &str| level.body[name].as_i64().unwrap_or_else(|| panic!("{sku}: {level:?}"));
                let (available, reserved, shipped) =
                    (number("available"), number("reserved"), number("shipped"));
                assert!(available >= 0 && reserved >= 0 && shipped >= 0, "{sku}: {level:?}");
                assert_eq!(available + reserved + shipped, number("received"), "{sku}: {level:?}");
                if reserved == 0 || !at_rest {
                    break;
                }
                assert!(Instant::now() < deadline, "{sku} stays reserved: {level:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The configuration of the repository for a gateway on this port: its paths are absolute, listeners are still to be
/// added.
fn config(port: u16) -> String {
    for package in ["customer", "order", "payment", "stock", "warehouse", "identity"] {
        component(package);
    }
    let text = std::fs::read_to_string(repository().join("gateway.toml")).unwrap();
    let text = text.split_once("[storage]").unwrap().1;
    let root = repository().display().to_string();
    let text = text
        .replace("\"target/", &format!("\"{root}/target/"))
        .replace("\"components/", &format!("\"{root}/components/"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
    format!("[storage]{text}")
}

/// Sends one order.
pub async fn place(client: &Client, customer: &str, lines: &[(&str, i64)], key: Option<&str>) -> Answer {
    client.send(request(client, customer, lines, key)).await
}

/// The request of one order.
pub fn request(
    client: &Client,
    customer: &str,
    lines: &[(&str, i64)],
    key: Option<&str>,
) -> reqwest::RequestBuilder {
    let lines: Vec<_> =
        lines.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
    let body = json!({ "customer": customer, "lines": lines });
    let request = client.request(reqwest::Method::POST, "/api/orders").json(&body);
    match key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    }
}

/// Whether an order has ended.
pub fn is_final(order: &Value) -> bool {
    matches!(order["status"].as_str(), Some("shipped" | "cancelled"))
}

/// A shipped order has exactly one completed payment of its total and a shipment; a cancelled one has neither.
async fn check_order(client: &Client, order: &Value) {
    let id = order["id"].as_str().unwrap();
    let payment = client.get(&format!("/api/payments/{id}")).await;
    let shipment = client.get(&format!("/api/shipments/{id}")).await;
    let is_paid = payment.status == 200 && payment.body["status"] == "completed";
    match order["status"].as_str().unwrap() {
        "shipped" => {
            assert!(is_paid, "{order}: {payment:?}");
            assert_eq!(payment.body["amount"], order["total"], "{order}: {payment:?}");
            assert_eq!(shipment.status, 200, "{order}: {shipment:?}");
        }
        _ => {
            assert!(!is_paid, "{order}: {payment:?}");
            assert_eq!(shipment.status, 404, "{order}: {shipment:?}");
        }
    }
    let history = order["history"].as_array().unwrap();
    assert_eq!(history[0]["status"], "pending", "{order}");
    assert_eq!(history.last().unwrap()["status"], order["status"], "{order}");
}
