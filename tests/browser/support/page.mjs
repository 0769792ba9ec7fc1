// The storefront's page in one fresh browser context: what a test does with it, and what must never happen on it.

import assert from "node:assert/strict";

// An order takes well under a second; a cold start on a loaded machine may compile first.
const WAIT_MS = 30_000;
// A signed token, wherever it stands.
const TOKEN = /eyJ[\w-]+\.[\w-]+\.[\w-]+/;

/** One visit to the shop. */
export class ShopPage {
  #page;
  #context;
  #url;
  #expected;
  #faults = [];

  constructor(page, context, url, expected) {
    this.#page = page;
    this.#context = context;
    this.#url = url;
    this.#expected = expected;
  }

  /** Opens the shop; `expected` are console errors that this visit provokes. */
  static async open(chromium, url, { expected = [], ...options }) {
    const context = await chromium.newContext(options);
    context.setDefaultTimeout(WAIT_MS);
    return ShopPage.#openIn(context, url, expected);
  }

  /** Another tab of the same browser. */
  openTab() {
    return ShopPage.#openIn(this.#context, this.#url, this.#expected);
  }

  static async #openIn(context, url, expected) {
    const page = new ShopPage(await context.newPage(), context, url, expected);
    page.#watch();
    await page.#page.goto(url);
    await page.get("product").first().waitFor();
    return page;
  }

  close() {
    return this.#context.close();
  }

  get(testId) {
    return this.#page.getByTestId(testId);
  }

  product(sku) {
    return this.#page.locator(`[data-testid="product"][data-sku="${sku}"]`);
  }

  line(sku) {
    return this.#page.locator(`[data-testid="cart-line"][data-sku="${sku}"]`);
  }

  productShown(sku) {
    return this.product(sku).waitFor();
  }

  async reload() {
    await this.#page.reload();
    await this.get("product").first().waitFor();
  }

  addToCart(sku) {
    return this.product(sku).getByTestId("add").click();
  }

  /** A field of the provider's pages. */
  field(label) {
    return this.#page.getByLabel(label, { exact: true });
  }

  /** A field by the name under which it is sent, where a provider labels none. */
  named(name) {
    return this.#page.locator(`input[name="${name}"]`);
  }

  /** A button by what stands on it. */
  button(name) {
    return this.#page.getByRole("button", { name });
  }

  /** Makes an account and comes back to the shop; `by` is the link that leads there. */
  async signUp(person, by = "sign-up") {
    await this.get(by).click();
    await this.field("Name").fill(person.name);
    await this.#signInAs(person, "Create account");
  }

  /** Signs in to an account that is there and comes back to the shop. */
  async signIn(person, by = "sign-in") {
    await this.get(by).click();
    await this.#signInAs(person, "Sign in");
  }

  async #signInAs(person, button) {
    await this.field("E-mail").fill(person.email);
    await this.field("Password").fill(person.password);
    await this.assertFitsWidth();
    await this.button(button).click();
    await this.signedIn(person);
  }

  /** Waits until the page shows who is signed in. */
  async signedIn({ name, email }) {
    await this.get("customer-email").filter({ hasText: email }).waitFor();
    await this.get("product").first().waitFor();
    assert.equal(await this.get("greeting").textContent(), `Hello, ${name}`);
    assert.ok(await this.get("sign-out").isVisible());
  }

  /** Waits until the page shows that nobody is, and nothing of whoever was. */
  async signedOut() {
    await this.get("sign-in").waitFor();
    for (const testId of ["sign-out", "customer", "activity", "tracker", "place-order"]) {
      assert.ok(await this.get(testId).isHidden(), `${testId} is still shown`);
    }
    assert.equal(await this.get("greeting").textContent(), "");
  }

  /** Has the browser lose its session, as when it has ended. */
  loseSession() {
    return this.#context.clearCookies();
  }

  /** No script can reach a token: not in a cookie, a storage, the page, or what the page was answered. */
  async assertNoTokenInReach() {
    const cookies = await this.#context.cookies();
    assert.ok(cookies.length > 0, "there is a session");
    for (const { name, value, httpOnly, sameSite } of cookies) {
      assert.deepEqual({ httpOnly, sameSite }, { httpOnly: true, sameSite: "Lax" }, name);
      assert.doesNotMatch(value, TOKEN, name);
    }
    const reach = await this.#page.evaluate(async () => JSON.stringify([
      document.cookie, { ...localStorage }, { ...sessionStorage }, await indexedDB.databases(), await caches.keys(),
      document.documentElement.outerHTML,
    ]));
    assert.match(reach, /^\["",/, "no cookie can be read");
    assert.doesNotMatch(reach, TOKEN);
    for (const { name, value } of cookies) assert.ok(!reach.includes(value), `${name} can be read`);
  }

  /** Walks to this control with the Tab key, as a person without a mouse does. */
  async tabTo(control) {
    const steps = 200;
    for (let step = 0; step < steps; step += 1) {
      if (await control.evaluate((wanted) => wanted === document.activeElement)) return;
      await this.#page.keyboard.press("Tab");
    }
    throw new Error(`${control} was not reached by ${steps} presses of Tab`);
  }

  async press(control, key) {
    await this.tabTo(control);
    await this.#page.keyboard.press(key);
  }

  async type(control, text) {
    await this.tabTo(control);
    await this.#page.keyboard.type(text);
  }

  async orderReaches(status) {
    await this.#page.locator(`[data-testid="tracker"][data-status="${status}"]`).waitFor();
  }

  trackedOrder() {
    return this.get("tracker").getAttribute("data-order");
  }

  /** `[[status, state]]` of the shown steps. */
  steps() {
    return this.get("step").evaluateAll((items) => items.map((item) => [item.dataset.step, item.dataset.state]));
  }

  async orderListed(id, status) {
    await this.#page.locator(`[data-testid="order"][data-order="${id}"][data-status="${status}"]`).waitFor();
  }

  async notified(order) {
    await this.#page.locator(`[data-testid="notification"][data-order="${order}"]`).first().waitFor();
  }

  focusedTestId() {
    return this.#page.evaluate(() => document.activeElement.dataset.testid);
  }

  /** Lets the first order reach the shop but not its answer the page; returns the keys that the page sends. */
  async loseFirstOrderAnswer() {
    const keys = [];
    await this.#page.route("**/api/orders", async (route) => {
      keys.push(await route.request().headerValue("idempotency-key"));
      if (keys.length > 1) return route.continue();
      const answer = await route.fetch();
      assert.equal(answer.status(), 201);
      return route.abort("connectionreset");
    });
    return keys;
  }

  /** Puts the page's timers under `letPass`; real time still moves them too. */
  takeTheClock() {
    return this.#page.clock.install();
  }

  /** Lets seconds pass on the page, each with a round trip, so that what the page asked in it is answered before the next. */
  async letPass(seconds) {
    for (let second = 0; second < seconds; second += 1) {
      await this.#page.clock.runFor(1000);
      await this.#page.evaluate(async () => (await fetch("/api/products")).text());
    }
  }

  /** Answers each question about an order with "pending", and counts them. */
  async holdOrdersPending() {
    let count = 0;
    let order = null;
    await this.#page.route("**/api/orders/*", async (route) => {
      count += 1;
      order ??= await (await route.fetch()).json();
      await route.fulfill({ json: { ...order, status: "pending", history: order.history.slice(0, 1) } });
    });
    return { count: () => count, next: () => this.#page.waitForResponse("**/api/orders/*") };
  }

  /** Makes the page believe that its tab went to the back or came to the front. */
  setHidden(hidden) {
    return this.#page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  }

  /** Tells the page what a browser tells one that it has kept and shows again. */
  comeBack() {
    return this.#page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  }

  async assertFitsWidth() {
    const [content, window] = await this.#page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    const { width } = this.#page.viewportSize();
    assert.equal(content, width, `the page is ${content} wide in a window of ${width}`);
    assert.equal(window, width);
  }

  async assertInView(testId) {
    const box = await this.get(testId).boundingBox();
    const { height } = this.#page.viewportSize();
    assert.ok(box && box.y >= 0 && box.y + box.height <= height, `${testId} is out of sight: ${JSON.stringify(box)}`);
  }

  /** No error was logged or thrown, and nobody but the shop was asked for anything. */
  assertClean() {
    assert.deepEqual(this.#faults, []);
  }

  async describe() {
    const text = await this.#page.locator("body").innerText().catch((error) => `(unreadable: ${error.message})`);
    return `${text}\n${this.#faults.join("\n")}`;
  }

  #watch() {
    const { origin } = new URL(this.#url);
    // What the pages of another provider load and log is not the shop's.
    const isShop = (url) => new URL(url).origin === origin;
    this.#page.on("console", (message) => {
      const [text, { url }] = [message.text(), message.location()];
      if (message.type() !== "error" || this.#expected.some((pattern) => pattern.test(text))) return;
      if (url === "" || isShop(url)) this.#faults.push(`console error: ${text} (${url})`);
    });
    this.#page.on("response", async (response) => {
      if (response.request().resourceType() !== "fetch") return;
      if (TOKEN.test(await response.text().catch(() => ""))) this.#faults.push(`a token for the page: ${response.url()}`);
    });
    this.#page.on("request", (request) => {
      if ("authorization" in request.headers()) this.#faults.push(`a token of the page: ${request.url()}`);
    });
    this.#page.on("pageerror", (error) => this.#faults.push(`thrown on the page: ${error.message}`));
    this.#page.on("request", (request) => {
      if (request.isNavigationRequest() || isShop(request.url()) || !isShop(request.frame().url())) return;
      this.#faults.push(`request to another host: ${request.url()}`);
    });
  }
}
