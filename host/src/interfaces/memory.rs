//! Counts and limits the memory of one instance and of its service.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::interfaces::service::MemoryBudget;

/// What one table element costs the host.
const TABLE_ELEMENT_BYTES: usize = 8;

/// Core instances, tables and memories in one component: tool chains make a handful of each.
const CORE_ITEMS_MAX: usize = 64;

/// Limits the linear memories and tables of one instance together; each growth also counts in the budget of its
/// service.
#[derive(Debug)]
pub struct MemoryMeter {
    used: u64,
    limit: u64,
    service_limit: u64,
    budget: Arc<MemoryBudget>,
    hit: Option<&'static str>,
}

impl MemoryMeter {
    /// A meter at zero; limits in bytes.
    pub fn new(limit: u64, service_limit: u64, budget: Arc<MemoryBudget>) -> Self {
        Self { used: 0, limit, service_limit, budget, hit: None }
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

    fn grow(&mut self, bytes: u64) -> bool {
        if self.used.saturating_add(bytes) > self.limit {
            self.hit = Some("memory");
            return false;
        }
        if !self.budget.take(bytes, self.service_limit) {
            self.hit = Some("service-memory");
            return false;
        }
        self.used += bytes;
        true
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        self.budget.give_back(self.used);
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

    #[test]
    fn a_growth_beyond_a_limit_is_refused_and_named() {
        let budget = Arc::new(MemoryBudget::default());
        let mut one = MemoryMeter::new(100, 150, budget.clone());
        let mut two = MemoryMeter::new(100, 150, budget.clone());
        assert!(one.memory_growing(0, 90, None).unwrap());
        assert!(!one.memory_growing(90, 101, None).unwrap());
        assert_eq!(one.take_hit(), Some("memory"));
        assert!(!two.memory_growing(0, 61, None).unwrap());
        assert_eq!(two.take_hit(), Some("service-memory"));
        drop(one);
        assert!(two.memory_growing(0, 61, None).unwrap());
        drop(two);
        assert_eq!(budget.used(), 0);
    }
}
