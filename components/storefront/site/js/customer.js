// Who is buying: the form, the remembered customer, and starting again as another.

import * as api from "./api.js";
import { announce, byId, showProblem } from "./dom.js";
import { recall, remember, watch } from "./storage.js";

/** The customer; `changed()` is called when the person is known, changed or forgotten. */
export class Customer {
  #changed;
  #person = personFrom(recall("customer"));
  #saving = null;

  constructor(changed) {
    this.#changed = changed;
    byId("customer-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    byId("customer-switch").addEventListener("click", () => this.#startAgain());
    for (const id of ["name", "email"]) byId(id).addEventListener("input", () => showFieldError(id, ""));
    watch("customer", (kept) => this.#become(personFrom(kept)));
  }

  /** `{id, name, email}`, or null. */
  get person() {
    return this.#person;
  }

  /** Draws the remembered person, and forgets a person whom the shop no longer knows. */
  async start() {
    this.#show();
    const remembered = this.#person;
    if (!remembered) return;
    try {
      const found = await api.customer(remembered.id);
      // A shop with a new, empty store may have given the same id to someone else.
      if (found.email !== remembered.email) this.#forget(remembered);
    } catch (problem) {
      if (problem.status === 404) this.#forget(remembered);
    }
  }

  /** Sends the form once, however often it is asked; true when the person is known afterwards. */
  save() {
    this.#saving ??= this.#send().finally(() => { this.#saving = null; });
    return this.#saving;
  }

  async #send() {
    if (this.#person) return true;
    showProblem("checkout-problem", null);
    const name = byId("name").value.trim();
    const email = byId("email").value.trim();
    if (!checkFields(name, email)) return false;
    const button = byId("customer-save");
    button.disabled = true;
    try {
      this.#become(await api.createCustomer(name, email));
      remember("customer", this.#person);
      announce(`Thank you, ${this.#person.name}. Your details are saved.`);
      return true;
    } catch (problem) {
      this.#refuse(problem);
      return false;
    } finally {
      button.disabled = false;
    }
  }

  #refuse(problem) {
    if (problem.status !== 409) {
      showProblem("checkout-problem", problem);
      return;
    }
    showFieldError("email", "Someone has already registered with this e-mail. Please use another one.");
    byId("email").focus();
  }

  #startAgain() {
    remember("customer", null);
    this.#become(null);
    byId("name").focus();
    announce("You can now order as someone else.");
  }

  #forget(remembered) {
    if (this.#person !== remembered) return;
    remember("customer", null);
    this.#become(null);
    showProblem("checkout-problem", {
      title: "Please enter your details again",
      detail: "The shop does not know you any more. Your cart is still here.",
    });
  }

  #become(person) {
    this.#person = person;
    this.#show();
    this.#changed();
  }

  #show() {
    const person = this.#person;
    byId("customer-card").hidden = !person;
    byId("customer-form").hidden = Boolean(person);
    byId("customer-name").textContent = person?.name ?? "";
    byId("customer-email").textContent = person?.email ?? "";
    byId("greeting").textContent = person ? `Hello, ${person.name}` : "";
    if (person) byId("customer-form").reset();
  }
}

function checkFields(name, email) {
  const nameError = name === "" ? "Please tell us your name." : "";
  const emailGood = email !== "" && byId("email").validity.valid;
  const emailError = emailGood ? "" : "Please enter an e-mail address, such as ada@example.com.";
  showFieldError("name", nameError);
  showFieldError("email", emailError);
  if (nameError) byId("name").focus();
  else if (emailError) byId("email").focus();
  return !nameError && !emailError;
}

function showFieldError(id, text) {
  byId(`${id}-error`).textContent = text;
  if (text) byId(id).setAttribute("aria-invalid", "true");
  else byId(id).removeAttribute("aria-invalid");
}

function personFrom(kept) {
  const good = kept && (typeof kept.id === "string" || typeof kept.id === "number") && typeof kept.email === "string";
  return good ? kept : null;
}
