// Puts the parts of the page together; each part knows only what it is given here.

import { Cart } from "./cart.js";
import { Catalogue } from "./catalogue.js";
import { Checkout } from "./checkout.js";
import { Customer } from "./customer.js";
import { byId } from "./dom.js";
import { Notifications } from "./notifications.js";
import { Orders } from "./orders.js";
import { isFinal } from "./status.js";
import { Tracker } from "./tracker.js";

const catalogue = new Catalogue((product) => cart.add(product), catalogueLoaded);
const cart = new Cart(catalogue, cartChanged);
const customer = new Customer(customerChanged);
const checkout = new Checkout(cart, customer, orderPlaced, orderRefused);
const tracker = new Tracker((sku) => catalogue.product(sku)?.name ?? sku, orderChanged);
const orders = new Orders((order) => tracker.follow(order, true));
const notifications = new Notifications();
let cartInView = false;

cart.show();
catalogue.refresh().then(goToPlace);
customer.ask();
hideBarBesideCart();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) lookAgain();
});
// A page that comes back by the Back button may show somebody who has signed out meanwhile.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) lookAgain();
});

// A person who left the cart to sign in comes back to it; without its products the page is too short for that.
function goToPlace() {
  byId(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
}

function lookAgain() {
  catalogue.refresh();
  customer.ask();
}

function catalogueLoaded() {
  cart.show();
  tracker.rename();
}

function cartChanged() {
  catalogue.markQuantities((sku) => cart.quantity(sku));
  checkout.show();
  showBar();
}

function customerChanged() {
  tracker.close();
  checkout.show();
  showActivity();
}

function orderPlaced(order) {
  orders.update(order);
  tracker.follow(order, true);
  catalogue.refresh();
}

// The order may exist though no answer came: the list shows what the shop really has.
function orderRefused() {
  catalogue.refresh();
  orders.refresh(customer.person?.id ?? null);
}

function orderChanged(order) {
  orders.update(order);
  if (!isFinal(order.status) || !customer.person) return;
  catalogue.refresh();
  notifications.expect(customer.person.id, order.id);
}

async function showActivity() {
  const id = customer.person?.id ?? null;
  byId("activity").hidden = id === null;
  notifications.refresh(id);
  await orders.refresh(id);
  const unfinished = orders.unfinished(isFinal);
  if (unfinished && tracker.id === null) tracker.follow(unfinished, false);
}

function showBar() {
  byId("cart-bar").hidden = cartInView || cart.pieces() === 0;
}

// On a phone the bar at the lower edge leads to the cart; beside the cart it would only be in the way.
function hideBarBesideCart() {
  const observer = new IntersectionObserver((entries) => {
    cartInView = entries.at(-1).isIntersecting;
    showBar();
  });
  observer.observe(byId("cart"));
}
