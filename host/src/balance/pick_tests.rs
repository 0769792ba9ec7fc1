//! How requests are spread over addresses.

use super::*;

/// Requests of each distribution; with a fixed seed a test never fails by chance.
const REQUESTS: usize = 30_000;

fn picker(balance: &Balance, count: usize) -> Picker {
    let names: Vec<String> = (0..count).map(|index| format!("http://10.0.0.{index}:80")).collect();
    Picker::new(balance, names.iter().map(String::as_str))
}

/// Numbers from 0 to 1 that look like chance and are the same in every run.
fn numbers() -> impl FnMut() -> f64 {
    let mut count = 0_u64;
    move || {
        count += 1;
        (hash(count) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The share of each address when they have these weights and nothing in flight; 0 is out.
fn shares(balance: &Balance, weights: &[f64]) -> Vec<f64> {
    let picker = picker(balance, weights.len());
    let mut counts = vec![0; weights.len()];
    let mut chance = numbers();
    for request in 0..REQUESTS {
        let standing = |index: usize| {
            (weights[index] > 0.0).then_some(Standing { weight: weights[index], in_flight: 0 })
        };
        counts[picker.pick(weights.len(), standing, Some(hash(request)), &mut chance).unwrap()] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / REQUESTS as f64).collect()
}

#[test]
fn requests_follow_the_weights() {
    let key = Balance::HashHeader("x-user".parse().unwrap());
    for (balance, tolerance) in
        [(Balance::RoundRobin, 0.001), (Balance::Random, 0.02), (key, 0.02), (Balance::HashAddress, 0.02)]
    {
        let found = shares(&balance, &[1.0, 0.0, 3.0, 2.0]);
        for (share, expected) in found.iter().zip([1.0 / 6.0, 0.0, 0.5, 1.0 / 3.0]) {
            assert!((share - expected).abs() < tolerance, "{balance:?}: {found:?}");
        }
    }
}

#[test]
fn round_robin_spreads_a_heavy_address_over_the_turn() {
    let picker = picker(&Balance::RoundRobin, 3);
    let weights = [5.0, 1.0, 1.0];
    let standing = |index: usize| Some(Standing { weight: weights[index], in_flight: 0 });
    let order: Vec<usize> = (0..7).map(|_| picker.pick(3, standing, None, || 0.0).unwrap()).collect();
    assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn of_two_the_less_loaded_one_is_chosen() {
    let picker = picker(&Balance::LeastRequests, 2);
    let mut chance = numbers();
    let mut check = |loads: [(f64, usize); 2], expected: usize| {
        for _ in 0..100 {
            let standing = |index: usize| {
                let (weight, in_flight) = loads[index];
                Some(Standing { weight, in_flight })
            };
            assert_eq!(picker.pick(2, standing, None, &mut chance), Some(expected), "{loads:?}");
        }
    };
    check([(1.0, 3), (1.0, 2)], 1);
    check([(1.0, 0), (1.0, 9)], 0);
    // With one more request it has three for a weight of three, the other two for a weight of one.
    check([(1.0, 1), (3.0, 2)], 1);
}

#[test]
fn least_requests_never_piles_up_on_one_of_many() {
    let picker = picker(&Balance::LeastRequests, 10);
    let mut in_flight = vec![0; 10];
    let mut chance = numbers();
    for _ in 0..1_000 {
        let standing = |index: usize| Some(Standing { weight: 1.0, in_flight: in_flight[index] });
        let chosen = picker.pick(10, standing, None, &mut chance).unwrap();
        in_flight[chosen] += 1;
    }
    assert!(in_flight.iter().all(|count| (90..=110).contains(count)), "{in_flight:?}");
}

#[test]
fn an_address_that_leaves_moves_only_its_own_keys() {
    let picker = picker(&Balance::HashAddress, 5);
    let all = |_: usize| Some(Standing { weight: 1.0, in_flight: 0 });
    let without_two = |index: usize| all(index).filter(|_| index != 2);
    let mut moved = 0;
    for key in 0..1_000_u64 {
        let before = picker.pick(5, all, Some(hash(key)), || 0.0).unwrap();
        let after = picker.pick(5, without_two, Some(hash(key)), || 0.0).unwrap();
        assert_ne!(after, 2);
        if before == 2 {
            moved += 1;
        } else {
            assert_eq!(before, after);
        }
    }
    assert!((150..250).contains(&moved), "{moved}");
}

#[test]
fn none_is_chosen_when_all_are_out_and_the_only_one_when_the_others_are() {
    for balance in [Balance::RoundRobin, Balance::LeastRequests, Balance::Random, Balance::HashAddress] {
        let picker = picker(&balance, 3);
        let mut chance = numbers();
        assert_eq!(picker.pick(3, |_| None, Some(7), &mut chance), None, "{balance:?}");
        let only = |index: usize| (index == 1).then_some(Standing { weight: 1.0, in_flight: 5 });
        assert_eq!(picker.pick(3, only, Some(7), &mut chance), Some(1), "{balance:?}");
        assert_eq!(picker.pick(3, only, None, &mut chance), Some(1), "{balance:?}");
    }
}
