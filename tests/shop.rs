//! The shop through the gateway, as its customers use it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::shop::{Shop, place};

/// Orders that are placed at once, and by how many clients.
const ORDERS: usize = 1_024;
const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn customers_register_once_with_a_valid_address() {
    let shop = Shop::open().await;
    let client = shop.client();
    let ada = json!({ "name": "Ada", "email": "ada@example.com" });
    let created = client.post("/api/customers", &ada).await;
    assert_eq!(created.status, 201);
    assert_eq!((&created.body["name"], &created.body["email"]), (&ada["name"], &ada["email"]));
    assert_eq!(client.post("/api/customers", &ada).await.status, 409);
    assert_eq!(client.post("/api/customers", &json!({ "name": "", "email": "x" })).await.status, 422);
    let id = created.body["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/api/customers/{id}")).await.body, created.body);
    assert_eq!(client.get("/api/customers/nobody").await.status, 404);
    let notifications = client.get(&format!("/api/customers/{id}/notifications")).await;
    assert_eq!((notifications.status, notifications.body), (200, json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_what_the_shop_sells_and_nothing_else() {
    let shop = Shop::open().await;
    let stranger = shop.host.client();
    for path in ["/", "/api/products", "/api/stock/mug-enamel", "/identity/.well-known/openid-configuration"]
    {
        assert_eq!(stranger.get(path).await.status, 200, "{path}");
    }
    for path in [
        "/api/orders",
        "/api/orders/none",
        "/api/customers/none",
        "/api/customers/none/notifications",
        "/api/payments/none",
        "/api/shipments/none",
    ] {
        let answer = stranger.get(path).await;
        assert_eq!((answer.status, &answer.body["status"]), (401, &json!(401)), "{path}: {answer:?}");
    }
    for path in ["/api/orders", "/api/customers", "/api/stock/mug-enamel/replenish"] {
        assert_eq!(stranger.post(path, &json!({ "quantity": 1 })).await.status, 401, "{path}");
    }
    // What only the host may say counts nothing when a client says it.
    let claim = stranger.request(reqwest::Method::GET, "/api/orders");
    let claim = claim.header("hostel-subject", "ada").header("hostel-scopes", "shop");
    assert_eq!(stranger.send(claim).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_act_for_themselves_alone_and_operators_for_everybody() {
    let shop = Shop::open().await;
    let (ada, eve, operator) = (shop.client_of("ada"), shop.client_of("eve"), shop.client());
    for (client, name) in [(&ada, "ada"), (&eve, "eve")] {
        let details = json!({ "name": name, "email": format!("{name}@example.com") });
        let made = client.post("/api/customers", &details).await;
        assert_eq!((made.status, &made.body["id"]), (201, &json!(name)), "{made:?}");
        let again = client.post("/api/customers", &json!({ "name": "X", "email": "x@example.com" })).await;
        assert_eq!((again.status, again.body), (200, made.body));
    }
    let lines = [("mug-enamel", 1)];
    let order = json!({ "lines": [{ "sku": "mug-enamel", "quantity": 1 }] });
    let placed = ada.post("/api/orders", &order).await;
    assert_eq!((placed.status, &placed.body["customer"]), (201, &json!("ada")), "{placed:?}");
    let id = placed.body["id"].as_str().unwrap().to_owned();
    assert_eq!(shop.ended(&id).await["status"], "shipped");
    assert_eq!(place(&eve, "ada", &lines, None).await.status, 403);
    assert_eq!(place(&operator, "ada", &lines, None).await.status, 201);
    for path in [
        format!("/api/orders/{id}"),
        "/api/orders?customer=ada".to_owned(),
        "/api/customers/ada".to_owned(),
        "/api/customers/ada/notifications".to_owned(),
        format!("/api/payments/{id}"),
        format!("/api/shipments/{id}"),
    ] {
        assert_eq!(ada.get(&path).await.status, 200, "{path}");
        assert_eq!(operator.get(&path).await.status, 200, "{path}");
        let refused = eve.get(&path).await;
        assert_eq!((refused.status, &refused.body["status"]), (403, &json!(403)), "{path}: {refused:?}");
        let claim = eve.request(reqwest::Method::GET, &path);
        let claim = claim.header("hostel-subject", "ada").header("hostel-scopes", "shop");
        assert_eq!(eve.send(claim).await.status, 403, "{path}");
    }
    let own = async |client: &Client| client.get("/api/orders").await.body.as_array().unwrap().len();
    assert_eq!((own(&ada).await, own(&eve).await), (2, 0));
    for path in ["/api/orders/none", "/api/payments/none", "/api/shipments/none"] {
        assert_eq!(eve.get(path).await.status, 404, "{path}");
    }
    // Whether there is somebody is nobody else's business.
    assert_eq!(eve.get("/api/customers/nobody").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_may_neither_replenish_nor_order_before_they_are_customers() {
    let shop = Shop::open().await;
    let ada = shop.client_of("ada");
    let replenish = json!({ "quantity": 1 });
    assert_eq!(ada.post("/api/stock/mug-enamel/replenish", &replenish).await.status, 403);
    assert_eq!(shop.client().post("/api/stock/mug-enamel/replenish", &replenish).await.status, 200);
    let order = json!({ "lines": [{ "sku": "mug-enamel", "quantity": 1 }] });
    assert_eq!(ada.post("/api/orders", &order).await.status, 422);
    // A token of the operator's says neither name nor e-mail.
    assert_eq!(ada.post("/api/customers", &json!({})).await.status, 422);
    let taken = json!({ "name": "Ada", "email": "Ada@example.com" });
    assert_eq!(shop.client().post("/api/customers", &taken).await.status, 201);
    assert_eq!(ada.post("/api/customers", &taken).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_reserved_paid_shipped_and_told() {
    let shop = Shop::open().await;
    let client = shop.client();
    let products = client.get("/api/products").await;
    assert!(products.body.as_array().unwrap().len() >= 12);
    let customer = shop.customer("ada").await;
    let placed = place(&client, &customer, &[("mug-enamel", 2), ("soap-olive", 1)], None).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    assert_eq!((&placed.body["status"], &placed.body["total"]), (&json!("pending"), &json!(2 * 1490 + 620)));
    let id = placed.body["id"].as_str().unwrap().to_owned();
    let ended = shop.ended(&id).await;
    assert_eq!(ended["status"], "shipped", "{ended}");
    let statuses: Vec<_> =
        ended["history"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["pending", "reserved", "paid", "shipped"]);
    shop.check(std::slice::from_ref(&id)).await;
    let listed = client.get(&format!("/api/orders?customer={customer}")).await;
    assert_eq!(listed.body.as_array().unwrap().len(), 1, "{listed:?}");
    let told = async || client.get(&format!("/api/customers/{customer}/notifications")).await.body;
    let mut notifications = told().await;
    while notifications.as_array().unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        notifications = told().await;
    }
    assert_eq!(notifications[0]["order"], id.as_str(), "{notifications}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_above_the_limit_is_cancelled_and_its_stock_released() {
    let shop = Shop::open().await;
    let customer = shop.customer("ada").await;
    let placed = place(&shop.client(), &customer, &[("bicycle-city", 1)], None).await;
    let id = placed.body["id"].as_str().unwrap().to_owned();
    let ended = shop.ended(&id).await;
    assert_eq!(ended["status"], "cancelled");
    let last = ended["history"].as_array().unwrap().last().unwrap();
    assert!(last["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{ended}");
    shop.check(&[id]).await;
    let level = shop.client().get("/api/stock/bicycle-city").await;
    assert_eq!(level.body["available"], level.body["received"], "{level:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_beyond_the_stock_is_refused_and_a_replenishment_helps() {
    let shop = Shop::open().await;
    let client = shop.client();
    let customer = shop.customer("ada").await;
    let order = async || {
        place(&client, &customer, &[("compass-brass", 4)], None).await.body["id"].as_str().unwrap().to_owned()
    };
    let refused = order().await;
    assert_eq!(shop.ended(&refused).await["status"], "cancelled");
    let replenished = client.post("/api/stock/compass-brass/replenish", &json!({ "quantity": 10 })).await;
    assert_eq!((replenished.status, &replenished.body["received"]), (200, &json!(13)));
    let good = order().await;
    assert_eq!(shop.ended(&good).await["status"], "shipped");
    shop.check(&[refused, good]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_orders_are_refused() {
    let shop = Shop::open().await;
    let client = shop.client();
    let customer = shop.customer("ada").await;
    let status =
        async |customer: &str, lines: &[(&str, i64)]| place(&client, customer, lines, None).await.status;
    assert_eq!(status(&customer, &[("nothing", 1)]).await, 422);
    assert_eq!(status("nobody", &[("mug-enamel", 1)]).await, 422);
    assert_eq!(status(&customer, &[("mug-enamel", 0)]).await, 422);
    assert_eq!(status(&customer, &[("mug-enamel", 10_001)]).await, 422);
    assert_eq!(status(&customer, &[]).await, 422);
    let broken = client
        .request(reqwest::Method::POST, "/api/orders")
        .header("content-type", "application/json")
        .body("{");
    assert_eq!(client.send(broken).await.status, 400);
    assert_eq!(client.get("/api/orders/none").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_places_one_order() {
    let shop = Shop::open().await;
    let customer = shop.customer("ada").await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (client, customer) = (shop.client(), customer.clone());
        tries.spawn(async move { place(&client, &customer, &[("soap-olive", 3)], Some("once")).await });
    }
    let answers = tries.join_all().await;
    let ids: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.body["id"].as_str().unwrap_or_else(|| panic!("{answer:?}")))
        .collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    let other = place(&shop.client(), &customer, &[("soap-olive", 4)], Some("once")).await;
    assert_eq!(other.status, 422);
    // Another caller's key is another key.
    let ada = shop.client_of("ada");
    let details = json!({ "name": "Ada", "email": "lovelace@example.com" });
    assert_eq!(ada.post("/api/customers", &details).await.status, 201);
    let own = place(&ada, "ada", &[("soap-olive", 3)], Some("once")).await;
    assert_eq!(own.status, 201);
    assert!(!ids.contains(own.body["id"].as_str().unwrap()), "{own:?}");
    let listed = shop.client().get(&format!("/api/orders?customer={customer}")).await;
    assert_eq!(listed.body.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_at_once_all_end_and_the_books_balance() {
    let shop = Arc::new(Shop::open().await);
    let customer = shop.customer("ada").await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (shop, customer) = (shop.clone(), customer.clone());
        clients.spawn(async move {
            let client = shop.client();
            let mut orders = Vec::new();
            for order in 0..ORDERS / CLIENTS {
                let placed = place(&client, &customer, &basket(number, order), None).await;
                assert_eq!(placed.status, 201, "{placed:?}");
                orders.push(placed.body["id"].as_str().unwrap().to_owned());
            }
            orders
        });
    }
    let orders: Vec<String> = clients.join_all().await.concat();
    shop.check_stock(false).await;
    let statuses = shop.check(&orders).await;
    assert_eq!(statuses.values().sum::<u64>(), ORDERS as u64, "{statuses:?}");
    assert!(statuses["shipped"] > 0 && statuses["cancelled"] > 0, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_with_its_types() {
    let shop = Shop::open().await;
    let client = shop.client();
    let page = client.request(reqwest::Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let missing: Value = client.get("/nothing.css").await.body;
    assert_eq!(missing["status"], 404, "{missing}");
}

/// What one client orders: mostly what there is plenty of, sometimes what is scarce or too dear.
pub fn basket(client: usize, order: usize) -> Vec<(&'static str, i64)> {
    match (client + order) % 8 {
        0 => vec![("bicycle-city", 1)],
        1 => vec![("calendar-press", 1), ("soap-olive", 1)],
        2 => vec![("print-harbour", 2)],
        _ => vec![("mug-enamel", 1), ("pencil-cedar", 2)],
    }
}
