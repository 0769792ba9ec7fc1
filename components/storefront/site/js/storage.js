// Remembers small values in this browser. Where storage is blocked or full the page works on, it only forgets.

const PREFIX = "hostel-shop.";

/** The value last kept under this name, or null. */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/** Keeps a value under this name; null forgets it. */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Private windows may refuse storage; the value then lives only as long as the page.
  }
}

/** Calls `changed` when another tab changes the value under this name. */
export function watch(name, changed) {
  window.addEventListener("storage", (event) => {
    if (event.key === PREFIX + name || event.key === null) changed(recall(name));
  });
}
