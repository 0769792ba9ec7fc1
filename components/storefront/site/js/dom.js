// Finds and makes elements. Text only ever becomes text nodes, so nothing that a service or a person wrote can become markup.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/** The element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new HTML element; `attributes` that are null or false are left out, functions become listeners. */
export function element(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** A new SVG element, under the same rules as `element`. */
export function drawing(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG_NAMESPACE, tag), attributes, children);
}

/** Tells screen readers something that sighted people see by itself. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** Shows a problem in the alert place with this id, or clears the place when there is none. */
export function showProblem(id, problem, retry) {
  const place = byId(id);
  if (!problem) {
    place.replaceChildren();
    return;
  }
  const again = retry && element("button", { type: "button", class: "button-quiet", click: retry }, "Try again");
  place.replaceChildren(
    element("div", { class: "notice notice-problem", "data-testid": "problem" },
      element("p", {}, element("strong", {}, problem.title)),
      problem.detail && element("p", {}, problem.detail),
      again),
  );
}

function furnish(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
