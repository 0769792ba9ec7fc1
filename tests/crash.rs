//! kill -9 of the host at random moments, under load: nothing that was acknowledged is lost.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::shop::basket;
use crate::support::shop::{Shop, place};

/// How often the host is killed, and by how many clients it is used meanwhile.
const KILLS: usize = 20;
const CLIENTS: usize = 8;

/// The host lives between this short and this long before it is killed.
const LIFE_MS: std::ops::Range<u64> = 50..900;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    let mut shop = Shop::open().await;
    let customer = shop.customer("ada").await;
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..KILLS {
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..CLIENTS {
            let (client, customer, acknowledged) = (shop.client(), customer.clone(), acknowledged.clone());
            clients.spawn(async move {
                for order in 0.. {
                    let key = format!("{round}-{number}-{order}");
                    let lines = basket(number, order);
                    let request = crate::support::shop::request(&client, &customer, &lines, Some(&key));
                    let Ok(answer) = client.try_send(request).await else { return };
                    // What the dying host refuses was not acknowledged.
                    if answer.status == 201 {
                        let id = answer.body["id"].as_str().unwrap().to_owned();
                        acknowledged.lock().unwrap().insert((key, id, number, order));
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(LIFE_MS))).await;
        shop.host.kill();
        clients.join_all().await;
        shop.host.launch().await;
    }
    let acknowledged: Vec<_> = acknowledged.lock().unwrap().iter().cloned().collect();
    assert!(acknowledged.len() > KILLS, "the load was too small to show anything: {}", acknowledged.len());
    // The same key gives the same order, also after the crash that came between.
    for (key, id, number, order) in acknowledged.iter().step_by(acknowledged.len() / 20 + 1) {
        let again = place(&shop.client(), &customer, &basket(*number, *order), Some(key)).await;
        assert_eq!(again.body["id"].as_str(), Some(id.as_str()), "{again:?}");
    }
    let orders: Vec<_> = acknowledged.into_iter().map(|(_, id, _, _)| id).collect();
    shop.check(&orders).await;
    // Orders whose answer was lost in a crash are orders all the same: they end too.
    let listed = shop.client().get(&format!("/api/orders?customer={customer}")).await;
    let all: Vec<_> = listed
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(all.len() >= orders.len());
    shop.check(&all).await;
    check_files(&shop);
}

/// Every database and broker is whole.
fn check_files(shop: &Shop) {
    let mut checked = 0;
    let folders = [shop.host.path("data/brokers")].into_iter().chain(
        std::fs::read_dir(shop.host.path("data/services")).unwrap().map(|entry| entry.unwrap().path()),
    );
    for folder in folders {
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "sqlite") {
                let connection = rusqlite::Connection::open(&file).unwrap();
                let verdict: String =
                    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                assert_eq!(verdict, "ok", "{}", file.display());
                checked += 1;
            }
        }
    }
    assert!(checked >= 8, "six databases and two brokers, but {checked} files were found");
}
