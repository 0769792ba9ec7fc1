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

visit("signing up, ordering, following, signing out and in again, each by clicking", { viewport: DESKTOP }, shopAround);

visit("at phone width the same works without scrolling sideways",
  { viewport: PHONE, colorScheme: "dark", reducedMotion: "reduce", hasTouch: true, isMobile: true }, shopAround);

visit("whoever has signed in sees their own orders alone", { viewport: DESKTOP }, async (page) => {
  const [ada, eve] = [newPerson(), newPerson()];
  const sku = await shop.stocked(1);
  await page.reload();
  await page.signUp(ada);
  await page.addToCart(sku);
  await page.get("place-order").click();
  await page.orderReaches("shipped");
  await page.get("sign-out").click();
  await page.signedOut();
  await page.signUp(eve);
  await page.get("orders-empty").waitFor();
  assert.equal(await page.get("order").count(), 0);
  assert.equal(await page.get("notification").count(), 0);
});

visit("no script can reach a token", { viewport: DESKTOP }, async (page) => {
  await page.signUp(newPerson());
  await page.assertNoTokenInReach();
});

visit("whoever signs out in one tab is signed out in the other", { viewport: DESKTOP }, async (page) => {
  const person = newPerson();
  await page.signUp(person);
  await page.setHidden(true);
  await signOutElsewhere(page, person);
  await page.setHidden(false);
  await page.signedOut();
});

visit("a page that comes back by the Back button shows nobody who has signed out", { viewport: DESKTOP }, async (page) => {
  const person = newPerson();
  await page.signUp(person);
  await signOutElsewhere(page, person);
  await page.comeBack();
  await page.signedOut();
});

visit("a session that ends before the order costs neither the cart nor the order",
  { viewport: DESKTOP, expected: [/status of 401/] }, async (page) => {
    const person = newPerson();
    const sku = await shop.stocked(1);
    await page.reload();
    await page.signUp(person);
    await page.addToCart(sku);
    await page.loseSession();
    await page.get("place-order").click();
    await page.signedOut();
    assert.equal(await page.get("cart-count").textContent(), "1");
    await page.signIn(person, "checkout-sign-in");
    await page.get("place-order").click();
    await page.orderReaches("shipped");
  });

visit("an order above the customer's limit is cancelled with its reason", { viewport: DESKTOP }, async (page) => {
  const { sku, quantity } = await shop.stockedAbove(100_000);
  await page.reload();
  await page.addToCart(sku);
  await page.line(sku).getByTestId("quantity").fill(String(quantity));
  await page.signUp(newPerson());
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
  const person = newPerson();
  await page.press(page.get("checkout-sign-up"), "Enter");
  await page.type(page.field("Name"), person.name);
  await page.type(page.field("E-mail"), person.email);
  await page.type(page.field("Password"), person.password);
  await page.press(page.field("Password"), "Enter");
  await page.signedIn(person);
  await page.press(page.get("place-order"), "Space");
  await page.orderReaches("shipped");
  assert.equal(await page.focusedTestId(), "tracker-title");
});

visit("an order whose answer is lost is placed once", { viewport: DESKTOP, expected: [/net::ERR_/] }, async (page) => {
  const sku = await shop.stocked(1);
  await page.reload();
  await page.addToCart(sku);
  await page.signUp(newPerson());
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
  await page.signUp(newPerson());
  await page.takeTheClock();
  const questions = await page.holdOrdersPending();
  await page.addToCart(sku);
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
  await page.signUp(person);
  assert.equal(await page.get("customer-name").textContent(), person.name);
});

async function signOutElsewhere(page, person) {
  const other = await page.openTab();
  await other.signedIn(person);
  await other.get("sign-out").click();
  await other.signedOut();
  other.assertClean();
}

/** A whole visit: somebody new fills the cart, signs up to order, leaves, and comes back. */
async function shopAround(page) {
  const person = newPerson();
  const sku = await shop.stocked(2);
  const { price } = await shop.product(sku);
  await page.reload();
  await page.addToCart(sku);
  await page.addToCart(sku);
  assert.equal(await page.get("cart-count").textContent(), "2");
  assert.equal(await page.get("cart-total").textContent(), euro(price * 2));
  await page.signedOut();
  await page.assertFitsWidth();
  await page.signUp(person, "checkout-sign-up");
  assert.equal(await page.get("cart-count").textContent(), "2", "the cart has survived");
  await page.assertInView("place-order");
  await page.assertFitsWidth();
  await page.get("place-order").click();
  await page.orderReaches("shipped");
  await page.assertInView("tracker-title");
  const order = await shop.order(await page.trackedOrder());
  assert.equal(order.status, "shipped");
  assert.equal(order.total, price * 2);
  assert.deepEqual(await page.steps(), ["pending", "reserved", "paid", "shipped"].map((status) => [status, "done"]));
  await page.orderListed(order.id, "shipped");
  await page.notified(order.id);
  assert.equal(await page.get("cart-count").textContent(), "0", "the cart is empty again");
  await page.assertNoTokenInReach();
  await page.get("sign-out").click();
  await page.signedOut();
  await page.signIn(person);
  await page.orderListed(order.id, "shipped");
  await page.assertFitsWidth();
}

function newPerson() {
  return { name: "Ada Lovelace", email: `ada-${crypto.randomUUID()}@example.com`, password: "a few plain words" };
}

function euro(cents) {
  return new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" }).format(cents / 100);
}
