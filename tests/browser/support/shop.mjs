// The running shop's API, for arranging a test and for checking what the page claims.

import { Operator } from "./operator.mjs";

/** The shop at one base URL. */
export class Shop {
  #products = null;
  #operator = new Operator();

  constructor(url) {
    this.url = url;
  }

  /** The shop that HOSTEL_URL names; without it the tests fail, because nothing would have been tested. */
  static fromEnvironment() {
    const url = process.env.HOSTEL_URL;
    if (!url) {
      throw new Error("HOSTEL_URL is not set: start the shop with `cargo run --release -- up`, then run "
        + "`HOSTEL_URL=http://127.0.0.1:8080 npm test`");
    }
    return new Shop(new URL("/", url).href);
  }

  async products() {
    this.#products ??= await this.#call("GET", "/api/products");
    return this.#products;
  }

  async product(sku) {
    return (await this.products()).find((product) => product.sku === sku);
  }

  async order(id) {
    return this.#call("GET", `/api/orders/${encodeURIComponent(id)}`);
  }

  async orders(customer) {
    return this.#call("GET", `/api/orders?customer=${encodeURIComponent(customer)}`);
  }

  /** The sku of the cheapest product, replenished so that `quantity` of it can be bought whatever other tests did. */
  async stocked(quantity) {
    const [cheapest] = (await this.products()).toSorted((one, other) => one.price - other.price);
    await this.#replenish(cheapest.sku, quantity);
    return cheapest.sku;
  }

  /** The dearest product in a replenished quantity that costs more than `cents`. */
  async stockedAbove(cents) {
    const dearest = (await this.products()).toSorted((one, other) => one.price - other.price).at(-1);
    const quantity = Math.floor(cents / dearest.price) + 1;
    await this.#replenish(dearest.sku, quantity);
    return { sku: dearest.sku, quantity };
  }

  async #replenish(sku, quantity) {
    await this.#call("POST", `/api/stock/${encodeURIComponent(sku)}/replenish`, { quantity });
  }

  async #call(method, path, body) {
    const headers = { authorization: `Bearer ${this.#operator.token()}`, "content-type": "application/json" };
    const response = await fetch(new URL(path, this.url), { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  }
}
