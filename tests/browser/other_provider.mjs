// The shop with another identity provider than its own, the npm package oidc-provider: a person signs in at its pages,
// orders, and signs out, in headless Chromium.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openChromium } from "./support/chromium.mjs";
import { ShopPage } from "./support/page.mjs";

let chromium;

before(async () => { chromium = await openChromium(); });
after(() => chromium?.close());

test("another provider is a change of its address alone", async () => {
  const page = await ShopPage.open(chromium, new URL("/", process.env.HOSTEL_URL).href, {});
  try {
    const name = `ada-${Date.now()}`;
    await page.get("sign-in").click();
    await page.named("login").fill(name);
    await page.named("password").fill("any");
    await page.button("Sign-in").click();
    await page.button("Continue").click();
    await page.signedIn({ name: `The person ${name}`, email: `${name}@example.com` });
    await page.assertNoTokenInReach();
    await page.get("add").first().click();
    await page.get("place-order").click();
    await page.orderReaches("shipped");
    assert.ok(await page.trackedOrder());
    await page.get("sign-out").click();
    await page.button("Yes, sign me out").click();
    await page.signedOut();
    page.assertClean();
  } catch (error) {
    error.message += `\n\nThe page when it failed:\n${await page.describe()}`;
    throw error;
  } finally {
    await page.close();
  }
});
