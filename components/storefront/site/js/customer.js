// Who is buying: whoever has signed in. The gateway knows that by its cookie; no token ever reaches this page.

import * as api from "./api.js";
import { byId, showProblem } from "./dom.js";

/** The customer; `changed()` is called when a person signs in or out, here or in another tab. */
export class Customer {
  #changed;
  #session = null;
  #person = null;
  #asking = null;

  constructor(changed) {
    this.#changed = changed;
    api.whenSignedOut(() => this.ask());
  }

  /** `{id, name, email}`, or null while nobody has signed in. */
  get person() {
    return this.#person;
  }

  /** The gateway has said that nobody has signed in. */
  get signedOut() {
    return this.#session?.signed_in === false;
  }

  /** Asks the gateway who has signed in, once however often it is called. */
  ask() {
    this.#asking ??= this.#ask().finally(() => { this.#asking = null; });
    return this.#asking;
  }

  async #ask() {
    try {
      const session = await api.session();
      showProblem("customer-problem", null);
      if (session.signed_in && session.subject === this.#person?.id) return;
      this.#become(session, null);
      if (session.signed_in) this.#become(session, await api.becomeCustomer());
    } catch (problem) {
      showProblem("customer-problem", problem, () => this.ask());
    }
  }

  #become(session, person) {
    this.#session = session;
    this.#person = person;
    this.#show();
    this.#changed();
  }

  #show() {
    const name = this.#person?.name ?? this.#session.name ?? "";
    byId("greeting").textContent = name && `Hello, ${name}`;
    byId("sign-in").hidden = !this.signedOut;
    byId("sign-up").hidden = !this.signedOut;
    byId("sign-out").hidden = this.signedOut;
    byId("customer").hidden = !this.#person;
    byId("customer-name").textContent = this.#person?.name ?? "";
    byId("customer-email").textContent = this.#person?.email ?? "";
  }
}
