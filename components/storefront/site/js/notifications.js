// What the shop wrote to the customer, newest first.

import * as api from "./api.js";
import { byId, element, showProblem } from "./dom.js";
import { count, dayAndTime, orderName } from "./format.js";
import { poll } from "./poll.js";

// So many are shown until the person asks for all.
const SHOWN_FIRST = 6;
// A message follows the end of its order by moments; after so many questions without one it may come with the next visit.
const QUESTIONS_MAX = 20;

/** The list of messages. */
export class Notifications {
  #customer = null;
  #messages = [];
  #all = false;
  #stop = () => {};

  constructor() {
    byId("notifications-more").addEventListener("click", () => {
      this.#all = true;
      this.#show();
    });
  }

  /** Reads this customer's messages again; null shows an empty list. */
  async refresh(customer) {
    if (this.#customer !== customer) this.#reset(customer);
    if (customer === null) return;
    try {
      await this.#read(customer);
    } catch (problem) {
      if (this.#customer === customer) showProblem("notifications-problem", problem, () => this.refresh(customer));
    }
  }

  /** Asks until there is a message about this order. */
  expect(customer, order) {
    this.#stop();
    let questions = 0;
    this.#stop = poll(async () => {
      questions += 1;
      if (this.#customer !== customer || questions > QUESTIONS_MAX) return true;
      await this.#read(customer);
      return this.#messages.some((message) => message?.order === order);
    });
  }

  async #read(customer) {
    const messages = await api.notifications(customer);
    if (this.#customer !== customer) return;
    const known = this.#messages.length;
    this.#messages = Array.isArray(messages) ? messages : [];
    showProblem("notifications-problem", null);
    if (this.#messages.length !== known || known === 0) this.#show();
  }

  #reset(customer) {
    this.#stop();
    this.#customer = customer;
    this.#messages = [];
    this.#all = false;
    showProblem("notifications-problem", null);
    this.#show();
  }

  #show() {
    const newest = this.#messages.toSorted((one, other) => momentOf(other) - momentOf(one));
    const shown = this.#all ? newest : newest.slice(0, SHOWN_FIRST);
    const more = byId("notifications-more");
    byId("notifications-empty").hidden = newest.length > 0;
    more.hidden = shown.length === newest.length;
    more.textContent = `Show all ${count(newest.length, "message")}`;
    byId("notifications").replaceChildren(...shown.map(row));
  }
}

function row(message) {
  const order = message?.order;
  const about = [order !== null && order !== undefined && `Order ${orderName(order)}`, dayAndTime(message?.at)];
  return element("li", { class: "notification", "data-testid": "notification", "data-order": order },
    element("p", { class: "notification-words" }, textOf(message)),
    element("p", { class: "notification-about" }, about.filter(Boolean).join(" · ")));
}

function textOf(message) {
  return String(message?.message ?? message?.text ?? "Your order has changed.");
}

function momentOf(message) {
  return new Date(message?.at ?? 0).getTime() || 0;
}
