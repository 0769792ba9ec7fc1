// The storefront as a person uses it, in headless Chromium, against the running shop that HOSTEL_URL names.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openChromium } from "./support/chromium.mjs";
import { ShopPage } from "./support/page.mjs";
import { Shop } from "./support/shop.mjs";

const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 900 };
const PRODUCTS_MIN = 12;

const shop = Shop.fromEnvironment();
let chromium;

before(async () => { chromium = await openChromium(); });
after(() => chromium?.close());

/** A test that opens the page, runs the story, and refuses whatever went wrong unseen. */
function visit(name, options, story) {
  test(name, async () => {
    const page = await ShopPage.open(chromium, shop.url, options);
    try {
      await story(page);
      page.assertClean();
    } catch (error) {
      error.message += `\n\nThe page when it failed:\n${await page.describe()}`;
      throw error;
    } finally {
      await page.close();
    }
  });
}

visit("the catalogue shows what the shop sells", { viewport: DESKTOP }, async (page) => {
  const products = await shop.products();
  assert.ok(products.length >= PRODUCTS_MIN, `the shop sells ${products.length} products`);
  await page.productShown(products.at(-1).sku);
  assert.equal(await page.get("product").count(), products.length);
  for (const { sku, name, price } of products) {
    const card = page.product(sku);
    assert.equal(await card.getByTestId("product-name").textContent(), name);
    assert.equal(await card.getByTestId("product-price").textContent(), euro(price));
  }
});

visit("an order placed by clicking is followed until it is shipped", { viewport: DESKTOP }, orderAndShip);

visit("at phone width the same order works without scrolling sideways",
  { viewport: PHONE, colorScheme: "dark", reducedMotion: "reduce", hasTouch: true, isMobile: true }, async (page) => {
    await orderAndShip(page);
    await page.assertFitsWidth();
    await page.assertInView("tracker-title");
  });

visit("an order above the customer's limit is cancelled with its reason", { viewport: DESKTOP }, async (page) => {
  const { sku, quantity } = await shop.stockedAbove(100_000);
  await page.reload();
  await page.addToCart(sku);
  await page.line(sku).getByTestId("quantity").fill(String(quantity));
  await page.enterDetails(newPerson());
  await page.get("place-order").click();
  await page.orderReaches("cancelled");
  const order = await shop.order(await page.trackedOrder());
  assert.equal(order.status, "cancelled");
  const reason = order.history.find((past) => past.status === "cancelled").reason;
  assert.ok(reason, "the shop gives a reason");
  assert.equal(await page.get("tracker-reason").textContent(), reason);
  assert.ok(await page.get("tracker-reason").isVisible());
  await page.orderListed(order.id, "cancelled");
});

visit("an order by keyboard alone is shipped", { viewport: DESKTOP }, async (page) => {
  const sku = await shop.stocked(1);
  await page.reload();
  await page.productShown(sku);
  await page.press(page.product(sku).getByTestId("add"), "Enter");
  const { name, email } = newPerson();
  await page.type(page.get("name"), name);
  await page.type(page.get("email"), email);
  await page.press(page.get("email"), "Enter");
  await page.get("customer-card").waitFor();
  await page.press(page.get("place-order"), "Space");
  await page.orderReaches("shipped");
  assert.equal(await page.focusedTestId(), "tracker-title");
});

visit("a taken e-mail is told, and starting again as another works", { viewport: DESKTOP, expected: [/status of 409/] }, async (page) => {
  const person = newPerson();
  await page.enterDetails(person);
  await page.get("customer-save").click();
  await page.get("customer-card").waitFor();
  await page.reload();
  assert.equal(await page.get("customer-email").textContent(), person.email, "the page remembers the customer");
  await page.get("customer-switch").click();
  await page.enterDetails({ name: "Somebody else", email: person.email });
  await page.get("customer-save").click();
  await page.get("email-error").filter({ hasText: "already registered" }).waitFor();
  assert.equal(await page.focusedTestId(), "email");
  const other = newPerson();
  await page.enterDetails(other);
  await page.get("customer-save").click();
  await page.get("customer-card").filter({ hasText: other.email }).waitFor();
});

visit("an order whose answer is lost is placed once", { viewport: DESKTOP, expected: [/net::ERR_/] }, async (page) => {
  const sku = await shop.stocked(1);
  await page.reload();
  await page.addToCart(sku);
  await page.enterDetails(newPerson());
  const keys = await page.loseFirstOrderAnswer();
  await page.get("place-order").click();
  await page.orderReaches("shipped");
  assert.equal(keys.length, 2, "the page sends the order a second time");
  assert.equal(keys[0], keys[1], "under the same key");
  const { customer } = await shop.order(await page.trackedOrder());
  assert.equal((await shop.orders(customer)).length, 1);
});

visit("a hidden page asks nothing, and asks on when it is seen again", { viewport: DESKTOP }, async (page) => {
  const sku = await shop.stocked(1);
  await page.takeTheClock();
  const questions = await page.holdOrdersPending();
  await page.addToCart(sku);
  await page.enterDetails(newPerson());
  await page.get("place-order").click();
  await questions.next();
  await page.setHidden(true);
  const before = questions.count();
  await page.letPass(20);
  assert.ok(questions.count() <= before + 1, "at most the question under way was asked while hidden");
  const next = questions.next();
  await page.setHidden(false);
  await next;
});

visit("what people write is shown as text", { viewport: DESKTOP }, async (page) => {
  const person = { ...newPerson(), name: `<img src="x" onerror="throw 1"> & "O'Hara"` };
  await page.enterDetails(person);
  await page.get("customer-save").click();
  await page.get("customer-card").waitFor();
  assert.equal(await page.get("customer-name").textContent(), person.name);
  assert.equal(await page.get("greeting").textContent(), `Hello, ${person.name}`);
});

async function orderAndShip(page) {
  const sku = await shop.stocked(2);
  const { price } = await shop.product(sku);
  await page.reload();
  await page.addToCart(sku);
  await page.addToCart(sku);
  assert.equal(await page.get("cart-count").textContent(), "2");
  assert.equal(await page.get("cart-total").textContent(), euro(price * 2));
  await page.assertFitsWidth();
  await page.enterDetails(newPerson());
  await page.get("place-order").click();
  await page.orderReaches("shipped");
  const order = await shop.order(await page.trackedOrder());
  assert.equal(order.status, "shipped");
  assert.equal(order.total, price * 2);
  assert.deepEqual(await page.steps(), ["pending", "reserved", "paid", "shipped"].map((status) => [status, "done"]));
  await page.orderListed(order.id, "shipped");
  await page.notified(order.id);
  assert.equal(await page.get("cart-count").textContent(), "0", "the cart is empty again");
}

function newPerson() {
  return { name: "Ada Lovelace", email: `ada-${crypto.randomUUID()}@example.com` };
}

function euro(cents) {
  return new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" }).format(cents / 100);
}
