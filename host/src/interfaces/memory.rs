//! Counts and limits the memory of one instance and of its service.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::interfaces::usage::Usage;

/// What one table element costs the host.
const TABLE_ELEMENT_BYTES: usize = 8;

/// Core instances, tables and memories in one component: tool chains make a handful of each.
const CORE_ITEMS_MAX: usize = 64;

/// Limits the linear memories and tables of one instance, and what the host holds for it, together; each growth also
/// counts in the budget of its service.
#[derive(Debug)]
pub struct MemoryMeter {
    used: u64,
    /// The part of it that the host holds.
    held: u64,
    limit: u64,
    service_limit: u64,
    usage: Arc<Usage>,
    hit: Option<&'static str>,
}

/// Raised inside a guest for which the host holds too much.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the host holds too much for the guest")]
pub struct HoldsTooMuch;

impl MemoryMeter {
    /// A meter at zero; limits in bytes.
    pub fn new(limit: u64, service_limit: u64, usage: Arc<Usage>) -> Self {
        Self { used: 0, held: 0, limit, service_limit, usage, hit: None }
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The name of the limit that stopped a growth since the last question.
    pub fn take_hit(&mut self) -> Option<&'static str> {
        self.hit.take()
    }

    /// Whether so much is in use that the instance should not be used again.
    pub fn is_high(&self) -> bool {
        self.used > self.limit / 4 * 3
    }

    /// Counts that the host holds so many bytes for the guest now.
    ///
    /// # Errors
    ///
    /// When that is too much, with all else.
    pub fn hold(&mut self, bytes: u64) -> Result<(), HoldsTooMuch> {
        if bytes <= self.held {
            let less = self.held - bytes;
            self.usage.memory.give_back(less);
            self.used -= less;
        } else if !self.grow(bytes - self.held) {
            return Err(HoldsTooMuch);
        }
        self.held = bytes;
        Ok(())
    }

    fn grow(&mut self, bytes: u64) -> bool {
        if self.used.saturating_add(bytes) > self.limit {
            self.hit = Some("memory");
            return false;
        }
        if !self.usage.memory.take(bytes, self.service_limit) {
            self.hit = Some("service-memory");
            return false;
        }
        self.used += bytes;
        true
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        self.usage.memory.give_back(self.used);
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current);
        Ok(self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES) as u64))
    }

    fn instances(&self) -> usize {
        CORE_ITEMS_MAX
    }

    fn tables(&self) -> usize {
        CORE_ITEMS_MAX
    }

    fn memories(&self) -> usize {
        CORE_ITEMS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::turns::Turns;

    #[test]
    fn a_growth_beyond_a_limit_is_refused_and_named() {
        let usage = Arc::new(Usage::new(&Turns::new(1)));
        let mut one = MemoryMeter::new(100, 150, usage.clone());
        let mut two = MemoryMeter::new(100, 150, usage.clone());
        assert!(one.memory_growing(0, 90, None).unwrap());
        assert!(!one.memory_growing(90, 101, None).unwrap());
        assert_eq!(one.take_hit(), Some("memory"));
        assert!(!two.memory_growing(0, 61, None).unwrap());
        assert_eq!(two.take_hit(), Some("service-memory"));
        drop(one);
        assert!(two.memory_growing(0, 61, None).unwrap());
        drop(two);
        assert_eq!(usage.memory.used(), 0);
    }

    #[test]
    fn what_the_host_holds_counts_with_the_guests_own_memory() {
        let usage = Arc::new(Usage::new(&Turns::new(1)));
        let mut meter = MemoryMeter::new(100, 150, usage.clone());
        assert!(meter.memory_growing(0, 60, None).unwrap());
        meter.hold(40).unwrap();
        assert!(!meter.memory_growing(60, 61, None).unwrap());
        assert!(meter.hold(41).is_err());
        assert_eq!(meter.take_hit(), Some("memory"));
        meter.hold(10).unwrap();
        assert_eq!((meter.used(), usage.memory.used()), (70, 70));
        drop(meter);
        assert_eq!(usage.memory.used(), 0);
    }
}
