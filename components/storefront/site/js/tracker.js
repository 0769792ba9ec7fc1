// Follows one order until it is shipped or cancelled.

import * as api from "./api.js";
import { byId, element } from "./dom.js";
import { money, orderName, timeOfDay } from "./format.js";
import { poll } from "./poll.js";
import { STEPS, historyOf, isFinal, reasonOf, sentence } from "./status.js";

/** The tracker; `nameOf(sku)` names products, `changed(order)` is called at every new state. */
export class Tracker {
  #nameOf;
  #changed;
  #order = null;
  #shown = "";
  #stop = () => {};

  constructor(nameOf, changed) {
    this.#nameOf = nameOf;
    this.#changed = changed;
    byId("tracker-close").addEventListener("click", () => {
      this.close();
      byId("cart").focus();
    });
  }

  /** The followed order's id, or null. */
  get id() {
    return this.#order?.id ?? null;
  }

  /** Shows this order and follows it; `focus` takes the person there. */
  follow(order, focus) {
    this.close();
    byId("tracker").hidden = false;
    this.#show(order);
    if (focus) takeThere();
    if (isFinal(order.status)) return;
    this.#stop = poll(() => this.#ask(order.id));
  }

  /** Stops following and hides the panel. */
  close() {
    this.#stop();
    this.#stop = () => {};
    this.#order = null;
    this.#shown = "";
    byId("tracker-note").textContent = "";
    byId("tracker").hidden = true;
  }

  /** Draws the lines again when product names have become known. */
  rename() {
    if (this.#order) this.#showLines(this.#order);
  }

  async #ask(id) {
    let order;
    try {
      order = await api.order(id);
    } catch (problem) {
      if (this.id !== id) return true;
      if (problem.status === 404) {
        byId("tracker-note").textContent = "The shop does not know this order any more.";
        return true;
      }
      byId("tracker-note").textContent = "No answer at the moment. We keep asking.";
      throw problem;
    }
    if (this.id !== id) return true;
    byId("tracker-note").textContent = "";
    this.#show(order);
    return isFinal(order.status);
  }

  #show(order) {
    // A screen reader would read an unchanged status again with every answer.
    const state = JSON.stringify(order);
    if (state === this.#shown) return;
    this.#shown = state;
    this.#order = order;
    const reason = order.status === "cancelled" ? reasonOf(order) : "";
    byId("tracker").dataset.status = order.status;
    byId("tracker").dataset.order = order.id;
    byId("tracker-title").textContent = `Order ${orderName(order.id)}`;
    byId("tracker-status").textContent = sentence(order.status);
    byId("tracker-reason").textContent = reason;
    byId("tracker-reason").hidden = reason === "";
    byId("tracker-steps").replaceChildren(...stepsOf(order));
    byId("tracker-total").textContent = money(order.total ?? 0);
    this.#showLines(order);
    this.#changed(order);
  }

  #showLines(order) {
    const lines = Array.isArray(order.lines) ? order.lines : [];
    byId("tracker-lines").replaceChildren(...lines.map((line) =>
      element("li", {}, element("span", { class: "tracker-quantity" }, `${line.quantity} ×`), " ", line.name ?? this.#nameOf(line.sku))));
  }
}

// At once: a smooth way there would end beside the panel when the page above it changes its height meanwhile.
function takeThere() {
  byId("tracker-title").focus({ preventScroll: true });
  byId("tracker").scrollIntoView({ behavior: "instant", block: "start" });
}

// A cancelled order shows the steps that it reached and then its end; any other shows the way that lies before it.
function stepsOf(order) {
  const history = historyOf(order);
  const entryOf = (status) => history.findLast((past) => past.status === status);
  const reached = STEPS.findIndex((step) => step.status === order.status);
  const cancelled = order.status === "cancelled";
  const way = cancelled ? STEPS.filter((step) => entryOf(step.status)) : STEPS;
  const items = way.map(({ status, step }, index) => {
    const state = cancelled || index < reached || (index === reached && isFinal(status)) ? "done" : index === reached ? "current" : "ahead";
    return stepItem(status, state, step, entryOf(status)?.at);
  });
  if (cancelled) items.push(stepItem("cancelled", "failed", "Cancelled", entryOf("cancelled")?.at));
  return items;
}

function stepItem(status, state, words, at) {
  const spoken = { done: "done", current: "in progress", ahead: "still to come", failed: "the order ended here" };
  return element("li", { class: "step", "data-testid": "step", "data-step": status, "data-state": state, "aria-current": state === "current" && "step" },
    element("span", { class: "step-words" }, words, element("span", { class: "visually-hidden" }, `, ${spoken[state]}`)),
    element("span", { class: "step-time" }, state === "ahead" ? "" : timeOfDay(at)));
}
