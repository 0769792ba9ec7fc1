// Turns the cart into exactly one order, also when answers get lost.

import * as api from "./api.js";
import { byId, showProblem } from "./dom.js";
import { count, money } from "./format.js";
import { recall, remember } from "./storage.js";

// Waits before sending the same attempt again; after the last one the person decides.
const RETRY_WAITS_MS = [500, 1500, 4000];
const KEY_BYTES = 16;

/** The checkout; `placed(order)` is called with the new order, `refused()` when the shop said no. */
export class Checkout {
  #cart;
  #customer;
  #placed;
  #refused;
  #busy = false;

  constructor(cart, customer, placed, refused) {
    this.#cart = cart;
    this.#customer = customer;
    this.#placed = placed;
    this.#refused = refused;
    byId("place-order").addEventListener("click", () => this.place());
  }

  /** Makes the button say what it would do. */
  show() {
    const isEmpty = this.#cart.pieces() === 0;
    const { person, signedOut } = this.#customer;
    const button = byId("place-order");
    button.hidden = isEmpty || signedOut;
    button.disabled = this.#busy || !person;
    button.setAttribute("aria-busy", String(this.#busy));
    button.textContent = `Place order · ${money(this.#cart.total())}`;
    byId("checkout-sign-in").hidden = isEmpty || !signedOut;
    byId("checkout-sign-up").hidden = isEmpty || !signedOut;
    if (this.#busy) return;
    byId("checkout-note").textContent = signedOut && !isEmpty ? "What is in your cart stays there meanwhile." : "";
  }

  /** Orders what is in the cart for the person who has signed in. */
  async place() {
    if (this.#busy || this.#cart.pieces() === 0 || !this.#customer.person) return;
    this.#setBusy(true);
    showProblem("checkout-problem", null);
    try {
      await this.#order();
    } finally {
      this.#setBusy(false);
    }
  }

  async #order() {
    const pieces = this.#cart.pieces();
    byId("checkout-note").textContent = `Placing your order of ${count(pieces, "item")}…`;
    const attempt = attemptFor({ customer: this.#customer.person.id, lines: this.#cart.lines() });
    let order;
    try {
      order = await sendUntilAnswered(attempt);
    } catch (problem) {
      // After a clear refusal there is nothing to repeat; otherwise the order may exist, and the key must live on.
      if (!problem.passing && problem.status < 500) remember("attempt", null);
      showProblem("checkout-problem", problem, problem.passing ? () => this.place() : null);
      this.#refused(problem);
      return;
    }
    remember("attempt", null);
    this.#cart.clear();
    this.#placed(order);
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.show();
  }
}

// One attempt is one body with one key. It outlives a reload, so that pressing the button again after a lost answer finds
// the order that was already made. Another cart or customer is another attempt.
function attemptFor(wanted) {
  const body = JSON.stringify(wanted);
  const kept = recall("attempt");
  if (kept?.body === body && typeof kept.key === "string") return kept;
  const attempt = { body, key: newKey() };
  remember("attempt", attempt);
  return attempt;
}

async function sendUntilAnswered({ body, key }) {
  for (const waitMs of RETRY_WAITS_MS) {
    try {
      return await api.placeOrder(body, key);
    } catch (problem) {
      if (!problem.passing) throw problem;
      byId("checkout-note").textContent = "No answer yet. Trying again, your order is placed only once…";
      await pause(Math.max(waitMs, Math.min(problem.retryAfterMs, RETRY_WAITS_MS.at(-1))));
    }
  }
  return api.placeOrder(body, key);
}

// `crypto.randomUUID` is missing on plain http in a local network; these bytes are as random.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pause(durationMs) {
  return new Promise((resume) => setTimeout(resume, durationMs));
}
