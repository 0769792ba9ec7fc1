// The customer's orders, newest first.

import * as api from "./api.js";
import { byId, element, showProblem } from "./dom.js";
import { count, dayAndTime, money, orderName } from "./format.js";
import { badge, historyOf } from "./status.js";

// So many are shown until the person asks for all.
const SHOWN_FIRST = 6;

/** The list; `open(order)` is called when a person wants to see one. */
export class Orders {
  #open;
  #orders = [];
  #all = false;
  #customer = null;

  constructor(open) {
    this.#open = open;
    byId("orders-more").addEventListener("click", () => {
      this.#all = true;
      this.#show();
    });
  }

  /** The newest order that is not at its end, or undefined. */
  unfinished(isFinal) {
    return this.#orders.findLast((order) => !isFinal(order.status));
  }

  /** Reads this customer's orders again; null shows an empty list. */
  async refresh(customer) {
    if (this.#customer !== customer) this.#reset(customer);
    if (customer === null) return;
    try {
      const orders = await api.orders(customer);
      if (this.#customer !== customer) return;
      this.#orders = Array.isArray(orders) ? orders : [];
      showProblem("orders-problem", null);
      this.#show();
    } catch (problem) {
      if (this.#customer === customer) showProblem("orders-problem", problem, () => this.refresh(customer));
    }
  }

  /** Puts one newer state of an order into the list without asking for all. */
  update(order) {
    const index = this.#orders.findIndex((known) => known.id === order.id);
    if (index >= 0) this.#orders[index] = order;
    else if (String(order.customer ?? this.#customer) === String(this.#customer)) this.#orders.push(order);
    this.#show();
  }

  #reset(customer) {
    this.#customer = customer;
    this.#orders = [];
    this.#all = false;
    showProblem("orders-problem", null);
    this.#show();
  }

  #show() {
    const newest = this.#orders.toReversed();
    const shown = this.#all ? newest : newest.slice(0, SHOWN_FIRST);
    const more = byId("orders-more");
    byId("orders-empty").hidden = newest.length > 0;
    more.hidden = shown.length === newest.length;
    more.textContent = `Show all ${count(newest.length, "order")}`;
    // The focused button is made anew with its row; the person must not lose their place.
    const focused = document.activeElement?.closest("#orders [data-order]")?.dataset.order;
    byId("orders").replaceChildren(...shown.map((order) => this.#row(order)));
    if (focused) byId("orders").querySelector(`[data-order="${CSS.escape(focused)}"] button`)?.focus({ preventScroll: true });
  }

  #row(order) {
    const pieces = (order.lines ?? []).reduce((sum, line) => sum + line.quantity, 0);
    const name = `Order ${orderName(order.id)}`;
    return element("li", { class: "order-row", "data-testid": "order", "data-order": order.id, "data-status": order.status },
      element("span", { class: "order-name" }, name),
      element("span", { class: "badge", "data-status": order.status, "data-testid": "order-badge" }, badge(order.status)),
      element("span", { class: "order-facts" },
        [dayAndTime(historyOf(order)[0]?.at), count(pieces, "item"), money(order.total ?? 0)].filter(Boolean).join(" · ")),
      element("button", { type: "button", class: "button-quiet", "aria-label": `Show ${name}`, click: () => this.#open(order) }, "Show"));
  }
}
