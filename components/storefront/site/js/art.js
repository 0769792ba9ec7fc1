// Draws each product's label: a pattern of plain shapes that is the same every time for the same sku.

import { drawing } from "./dom.js";

const CELL = 40;
const COLUMNS = 4;
const ROWS = 2;
const PALETTES = 6;
const INKS = ["ink-one", "ink-two", "ink-three"];

const SHAPES = [
  (ink) => drawing("circle", { class: ink, cx: 20, cy: 20, r: 20 }),
  (ink) => drawing("path", { class: ink, d: "M0 0h40A40 40 0 0 1 0 40z" }),
  (ink) => drawing("path", { class: ink, d: "M0 0h40A40 40 0 0 1 0 40z" }),
  (ink) => drawing("path", { class: ink, d: "M0 20a20 20 0 0 1 40 0z" }),
  (ink) => drawing("path", { class: ink, d: "M0 0h40L0 40z" }),
  (ink) => drawing("path", { class: ink, d: "M0 0h40v8H0zM0 16h40v8H0zM0 32h40v8H0z" }),
  (ink) => drawing("rect", { class: ink, width: 40, height: 40 }),
];

/** A decorative SVG for this product. */
export function art(sku) {
  const next = numbersFrom(sku);
  const label = drawing("svg", {
    class: `art palette-${next(PALETTES)}`, viewBox: `0 0 ${CELL * COLUMNS} ${CELL * ROWS}`,
    preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true",
  });
  for (let cell = 0; cell < COLUMNS * ROWS; cell += 1) {
    const x = (cell % COLUMNS) * CELL;
    const y = Math.floor(cell / COLUMNS) * CELL;
    const shape = SHAPES[next(SHAPES.length)](INKS[next(INKS.length)]);
    label.append(drawing("g", { transform: `translate(${x} ${y}) rotate(${next(4) * 90} 20 20)` }, shape));
  }
  return label;
}

// FNV-1a as the seed, xorshift for the sequence: small, and the same in every browser.
function numbersFrom(text) {
  let state = 2166136261;
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0), 16777619);
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}
