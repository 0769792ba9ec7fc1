// Calls the shop's services; whatever goes wrong becomes one `Problem` that can be shown to a person.

// Longer than any service may take, short enough that nobody stares at a dead page.
const CALL_TIMEOUT_MS = 15_000;
// Answers that say "not now": the same request may succeed later.
const PASSING_STATUSES = [0, 408, 425, 429, 502, 503, 504];

/** Why a call failed. `status` is 0 when no answer came at all. */
export class Problem extends Error {
  constructor(status, title, detail, retryAfterMs = 0) {
    super(detail ? `${title}: ${detail}` : title);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }

  /** The same request may succeed when it is sent again. */
  get passing() {
    return PASSING_STATUSES.includes(this.status);
  }
}

let signedOut = () => {};

/** Calls `heard` whenever an answer says that the person is not signed in, or no longer. */
export function whenSignedOut(heard) {
  signedOut = heard;
}

/** `{signed_in, subject, name, email}`; when nobody has signed in, the first alone. */
export const session = () => call("GET", "/session");
/** `[{sku, name, price, available}]`, prices in cents. */
export const products = () => call("GET", "/api/products");
/** `{id, name, email}` of the person who has signed in, who is a customer from the first time on. */
export const becomeCustomer = () => call("POST", "/api/customers", "{}");
/** `[{order, message, at}]`. */
export const notifications = (id) => call("GET", `/api/customers/${encodeURIComponent(id)}/notifications`);
/** The customer's orders, oldest first. */
export const orders = (id) => call("GET", `/api/orders?customer=${encodeURIComponent(id)}`);
/** One order with its history. */
export const order = (id) => call("GET", `/api/orders/${encodeURIComponent(id)}`);
/** Places an order; the same key with the same body never makes a second one. */
export const placeOrder = (body, key) => call("POST", "/api/orders", body, { "idempotency-key": key });

async function call(method, path, body, headers = {}) {
  const request = { method, headers: { accept: "application/json", ...headers }, cache: "no-store" };
  request.signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
  if (body !== undefined) {
    request.body = body;
    request.headers["content-type"] = "application/json";
  }
  const { response, text } = await send(path, request);
  const answer = parse(text);
  if (response.status === 401) signedOut();
  if (!response.ok) throw problemOf(response, answer);
  if (answer === undefined) {
    throw new Problem(response.status, "The shop gave an answer that we cannot read", "Please try again in a moment.");
  }
  return answer;
}

async function send(path, request) {
  try {
    const response = await fetch(path, request);
    return { response, text: await response.text() };
  } catch {
    throw new Problem(0, "We cannot reach the shop", "Please check your connection. Nothing in your cart is lost.");
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemOf(response, answer) {
  if (response.status === 401) {
    return new Problem(401, "Please sign in again", "Your session has ended. What is in your cart is still there.");
  }
  const seconds = Number(response.headers.get("retry-after"));
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : 0;
  const title = textOr(answer?.title, response.status >= 500 ? "The shop is busy" : "That did not work");
  const detail = textOr(answer?.detail, response.status >= 500 ? "Please try again in a moment." : "");
  return new Problem(response.status, title, detail, retryAfterMs);
}

function textOr(value, otherwise) {
  return typeof value === "string" && value !== "" ? value : otherwise;
}
