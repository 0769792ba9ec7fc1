//! How many instances this machine has room for: each takes memory maps, and Linux gives a process only so many.

use crate::config::INSTANCES_LIMIT;
use crate::runtime::wasi::Wasi;

/// Where Linux tells how many memory maps a process may have; an operator raises it with `sysctl`.
const MAPS_FILE: &str = "/proc/sys/vm/max_map_count";

/// What to do where a service may have more instances than there is room for.
pub const TOO_SMALL: &str = "`instances.max` is more than this machine has room for, of all services together; \
    for WASI 0.2 `sysctl -w vm.max_map_count=100000` makes more";

/// Instances of WASI 0.3 on every machine: each handles several requests.
const CONCURRENT_INSTANCES: u32 = 1_000;

/// Stacks for each instance of WASI 0.3, each call of which may have one.
const STACKS_PER_CONCURRENT_INSTANCE: u32 = 4;

/// Of a memory: before the data that it starts with, in it, behind it, and what is reserved beyond.
const MAPS_PER_MEMORY: u64 = 4;

/// Of a stack: itself, and the page that guards it.
const MAPS_PER_STACK: u64 = 2;

/// For all but instances: the program and its heap, threads, files, and a thousand components' machine code.
const MAPS_BESIDE: u64 = 12_000;

/// How many instances of a generation fit, of all services together, with their stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Instances, each with one memory.
    pub instances: u32,
    /// Stacks of the calls in them.
    pub stacks: u32,
}

impl Room {
    /// On this machine. A system that tells no bound has none.
    pub fn here(wasi: Wasi) -> Self {
        let maps = std::fs::read_to_string(MAPS_FILE).ok().and_then(|text| text.trim().parse().ok());
        Self::within(wasi, maps.unwrap_or(u64::MAX))
    }

    fn within(wasi: Wasi, maps: u64) -> Self {
        let concurrent = Self {
            instances: CONCURRENT_INSTANCES,
            stacks: CONCURRENT_INSTANCES * STACKS_PER_CONCURRENT_INSTANCE,
        };
        match wasi {
            Wasi::P3 => concurrent,
            Wasi::P2 => {
                let left = maps.saturating_sub(MAPS_BESIDE + concurrent.maps());
                let instances = (left / (MAPS_PER_MEMORY + MAPS_PER_STACK)).clamp(1, INSTANCES_LIMIT);
                let instances = u32::try_from(instances).unwrap_or(u32::MAX);
                Self { instances, stacks: instances }
            }
        }
    }

    fn maps(self) -> u64 {
        u64::from(self.instances) * MAPS_PER_MEMORY + u64::from(self.stacks) * MAPS_PER_STACK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instances_together_leave_maps_for_the_rest() {
        for maps in [65_530, 80_000, 1_048_576] {
            let taken = [Wasi::P2, Wasi::P3].map(|wasi| Room::within(wasi, maps).maps());
            assert!(taken.iter().sum::<u64>() + MAPS_BESIDE <= maps, "{taken:?} of {maps}");
        }
    }

    #[test]
    fn linux_as_it_comes_gives_thousands_and_a_raised_bound_all() {
        assert_eq!(Room::within(Wasi::P2, 65_530).instances, 6_921);
        assert_eq!(Room::within(Wasi::P2, 1_048_576).instances, 10_000);
    }
}
