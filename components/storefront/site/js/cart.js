// The cart: which products in which quantity, kept in this browser and shared by its tabs.

import { byId, element } from "./dom.js";
import { count, money } from "./format.js";
import { recall, remember, watch } from "./storage.js";

// The shop takes 1 to 10000 of one product in an order.
const QUANTITY_MAX = 10_000;

/** The cart; `catalogue` names and prices its lines, `changed()` is called after every change. */
export class Cart {
  #catalogue;
  #changed;
  #quantities;
  #rows = new Map();

  constructor(catalogue, changed) {
    this.#catalogue = catalogue;
    this.#changed = changed;
    this.#quantities = quantitiesFrom(recall("cart"));
    byId("cart-clear").addEventListener("click", () => {
      this.clear();
      byId("cart").focus();
    });
    watch("cart", (kept) => {
      this.#quantities = quantitiesFrom(kept);
      this.show();
    });
  }

  /** One more of this product; returns how many there are now. */
  add(product) {
    this.#set(product.sku, this.quantity(product.sku) + 1);
    return this.quantity(product.sku);
  }

  /** How many of this product are in the cart. */
  quantity(sku) {
    return this.#quantities.get(sku) ?? 0;
  }

  /** `[{sku, quantity}]` as an order wants it. */
  lines() {
    return [...this.#quantities].map(([sku, quantity]) => ({ sku, quantity }));
  }

  /** Integer cents. */
  total() {
    return this.lines().reduce((sum, line) => sum + (this.#catalogue.product(line.sku)?.price ?? 0) * line.quantity, 0);
  }

  /** Number of pieces. */
  pieces() {
    return this.lines().reduce((sum, line) => sum + line.quantity, 0);
  }

  clear() {
    this.#quantities.clear();
    this.#keep();
  }

  /** Draws the cart; lines whose product is no longer sold are dropped. */
  show() {
    this.#dropUnknown();
    for (const [sku, row] of this.#rows) {
      if (this.#quantities.has(sku)) continue;
      row.item.remove();
      this.#rows.delete(sku);
    }
    for (const { sku, quantity } of this.lines()) {
      const product = this.#catalogue.product(sku);
      if (product) this.#showRow(product, quantity);
    }
    this.#showSums();
    this.#changed();
  }

  #set(sku, quantity) {
    if (quantity < 1) this.#quantities.delete(sku);
    else this.#quantities.set(sku, Math.min(quantity, QUANTITY_MAX));
    this.#keep();
  }

  #keep() {
    remember("cart", this.lines());
    this.show();
  }

  #dropUnknown() {
    if (!this.#catalogue.ready) return;
    for (const sku of [...this.#quantities.keys()]) {
      if (!this.#catalogue.product(sku)) this.#quantities.delete(sku);
    }
  }

  #showRow(product, quantity) {
    const row = this.#rows.get(product.sku) ?? this.#makeRow(product);
    // While a person types, their half-finished number stays.
    if (document.activeElement !== row.input) row.input.value = quantity;
    row.sum.textContent = money(product.price * quantity);
    row.hint.textContent = quantity > product.available ? `Only ${Math.max(product.available, 0)} in stock at the moment` : "";
    if (!row.item.isConnected) byId("cart-lines").append(row.item);
  }

  #makeRow({ sku, name, price }) {
    const step = (by) => this.#set(sku, this.quantity(sku) + by);
    const row = {
      sum: element("span", { class: "cart-line-sum", "data-testid": "line-sum" }),
      hint: element("p", { class: "cart-line-hint", "data-testid": "line-hint", role: "status" }),
      input: element("input", {
        type: "number", inputmode: "numeric", min: 1, max: QUANTITY_MAX, step: 1, "aria-label": `Quantity of ${name}`,
        "data-testid": "quantity", input: (event) => this.#type(sku, event.target), change: (event) => this.#settle(sku, event.target),
      }),
    };
    row.item = element("li", { class: "cart-line", "data-testid": "cart-line", "data-sku": sku },
      element("span", { class: "cart-line-name" }, name),
      row.sum,
      element("span", { class: "cart-line-price" }, `${money(price)} each`),
      element("div", { class: "stepper" },
        element("button", { type: "button", "aria-label": `One fewer ${name}`, "data-testid": "fewer", click: () => step(-1) }, "−"),
        row.input,
        element("button", { type: "button", "aria-label": `One more ${name}`, "data-testid": "more", click: () => step(1) }, "+")),
      element("button", {
        type: "button", class: "button-quiet cart-line-remove", "aria-label": `Remove ${name}`, "data-testid": "remove",
        click: () => this.#set(sku, 0),
      }, "Remove"),
      row.hint);
    this.#rows.set(sku, row);
    return row;
  }

  #type(sku, input) {
    if (input.checkValidity() && input.value !== "") this.#set(sku, Number(input.value));
  }

  #settle(sku, input) {
    const wanted = Math.round(Number(input.value));
    const quantity = wanted >= 1 ? Math.min(wanted, QUANTITY_MAX) : this.quantity(sku);
    input.value = quantity;
    this.#set(sku, quantity);
  }

  #showSums() {
    const pieces = this.pieces();
    byId("cart-empty").hidden = pieces > 0;
    byId("cart-clear").hidden = pieces === 0;
    byId("cart-total-row").hidden = pieces === 0;
    byId("cart-total").textContent = money(this.total());
    byId("cart-count").textContent = String(pieces);
    byId("cart-bar-count").textContent = count(pieces, "item");
    byId("cart-bar-total").textContent = money(this.total());
  }
}

// What another version of the page, or a curious person, left in the storage may be anything.
function quantitiesFrom(kept) {
  const lines = Array.isArray(kept) ? kept : [];
  return new Map(lines
    .filter((line) => typeof line?.sku === "string" && Number.isInteger(line.quantity) && line.quantity >= 1)
    .map((line) => [line.sku, Math.min(line.quantity, QUANTITY_MAX)]));
}
