// Shows what the shop sells and puts it into the cart.

import * as api from "./api.js";
import { art } from "./art.js";
import { announce, byId, element, showProblem } from "./dom.js";
import { count, money } from "./format.js";

// At or below this many the shop says how few are left.
const FEW = 5;
// Above this many the number tells a buyer nothing.
const MANY = 99;

/** The catalogue; `add(product)` is called when a person chooses one and returns the new quantity, `loaded()` when its products have changed. */
export class Catalogue {
  #add;
  #loaded;
  #products = new Map();
  #cards = new Map();

  constructor(add, loaded) {
    this.#add = add;
    this.#loaded = loaded;
  }

  /** The product with this sku, or undefined. */
  product(sku) {
    return this.#products.get(sku);
  }

  /** Whether the products are known. */
  get ready() {
    return this.#products.size > 0;
  }

  /** Reads the products again; a failure is shown unless an older catalogue still stands. */
  async refresh() {
    let products;
    try {
      products = await api.products();
    } catch (problem) {
      if (!this.ready) this.#fail(problem);
      return;
    }
    showProblem("catalogue-problem", null);
    this.#products = new Map(products.map((product) => [product.sku, product]));
    byId("catalogue-note").textContent = `${count(products.length, "product")}, prices in euro`;
    byId("products").setAttribute("aria-busy", "false");
    this.#show(products);
    this.#loaded();
  }

  /** Shows on each card how many of it are in the cart. */
  markQuantities(quantityOf) {
    for (const [sku, card] of this.#cards) {
      const quantity = quantityOf(sku);
      card.inCart.textContent = quantity > 0 ? `${quantity} in cart` : "";
    }
  }

  #fail(problem) {
    byId("catalogue-note").textContent = "";
    byId("products").setAttribute("aria-busy", "false");
    showProblem("catalogue-problem", problem, () => this.refresh());
  }

  // Cards that stay are changed in place, so that a refresh never takes the focus from a button.
  #show(products) {
    const list = byId("products");
    for (const [sku, card] of this.#cards) {
      if (this.#products.has(sku)) continue;
      card.item.remove();
      this.#cards.delete(sku);
    }
    for (const product of products) {
      const card = this.#cards.get(product.sku) ?? this.#makeCard(product);
      card.name.textContent = product.name;
      card.price.textContent = money(product.price);
      showAvailability(card, product);
      if (!card.item.isConnected) list.append(card.item);
    }
  }

  #makeCard({ sku }) {
    const nameId = `product-${sku}`;
    const card = {
      name: element("h2", { class: "product-name", id: nameId, "data-testid": "product-name" }),
      price: element("p", { class: "product-price", "data-testid": "product-price" }),
      availability: element("p", { class: "product-availability", "data-testid": "product-available" }),
      inCart: element("span", { class: "product-in-cart", "data-testid": "product-in-cart" }),
      button: element("button", {
        type: "button", class: "button button-second", "data-testid": "add", "aria-describedby": nameId,
        click: () => this.#choose(sku),
      }, "Add to cart"),
    };
    card.item = element("li", { class: "product", "data-testid": "product", "data-sku": sku },
      element("div", { class: "product-art" }, art(sku), card.inCart),
      element("div", { class: "product-text" }, card.name, card.availability),
      element("div", { class: "product-buy" }, card.price, card.button));
    this.#cards.set(sku, card);
    return card;
  }

  #choose(sku) {
    const product = this.#products.get(sku);
    const quantity = this.#add(product);
    announce(`${product.name} added, ${quantity} in your cart.`);
  }
}

function showAvailability(card, { available }) {
  const level = available <= 0 ? "none" : available <= FEW ? "few" : "good";
  const words = { none: "Sold out", few: `Only ${available} left`, good: available > MANY ? "In stock" : `${available} in stock` };
  card.availability.textContent = words[level];
  card.availability.dataset.level = level;
  card.button.disabled = level === "none";
}
