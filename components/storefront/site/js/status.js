// What the statuses of an order mean to its buyer.

/** The way of an order that goes well, in its order. */
export const STEPS = [
  { status: "pending", step: "Order received", now: "We have your order." },
  { status: "reserved", step: "Items reserved", now: "Your items are reserved." },
  { status: "paid", step: "Payment completed", now: "Your payment is completed." },
  { status: "shipped", step: "Shipped", now: "Your order has been shipped." },
];

const BADGES = { pending: "Received", reserved: "Reserved", paid: "Paid", shipped: "Shipped", cancelled: "Cancelled" };

/** Nothing happens to the order any more. */
export function isFinal(status) {
  return status === "shipped" || status === "cancelled";
}

/** A word or two for a list. */
export function badge(status) {
  return BADGES[status] ?? String(status);
}

/** A sentence for the person who waits. */
export function sentence(status) {
  if (status === "cancelled") return "Your order was cancelled.";
  return STEPS.find((step) => step.status === status)?.now ?? `Your order is ${status}.`;
}

/** Why the order was cancelled, or an empty text. */
export function reasonOf(order) {
  const entry = historyOf(order).findLast((past) => past.status === "cancelled");
  return entry?.reason ?? order.reason ?? "";
}

/** `[{status, at, reason?}]`, oldest first; never missing. */
export function historyOf(order) {
  return Array.isArray(order.history) ? order.history : [];
}
