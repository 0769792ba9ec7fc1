// Results: what was measured, beside what it should be.
import { median } from './numbers.mjs';

const UNITS = { rate: 'requests/s', cpu: 'µs of CPU for each request', p50: 'µs, p50' };

export const atLeast = (value) => ({ least: value, text: `≥ ${value}` });
export const atMost = (value, text = `≤ ${value}`) => ({ most: value, text });
// Told for information only.
export const NONE = { text: '–' };

// One contestant over another, round by round.
export function ratio(title, figures, own, partner, field, target) {
  const missing = [own, partner].map((name) => figures[name].missing).find(Boolean);
  if (missing) return { title, target, missing };
  const values = figures[own].map((figure, round) => figure[field] / figures[partner][round][field]);
  return { ...value(title, values, '×', target), ...compared(figures, [own, partner], field) };
}

// A value of its own for each round.
export function value(title, values, unit, target, middle = median(values)) {
  return { title, unit, target, value: middle, min: Math.min(...values), max: Math.max(...values), met: met(middle, target) };
}

// One bar of a chart.
export function bar(name, value, own = name.startsWith('Hostel')) {
  return { name, value, own };
}

// What a chart shows of the contestants behind a result.
function compared(figures, names, field) {
  const bars = names.map((name) => bar(name, median(figures[name].map((figure) => figure[field]))));
  return { bars, barsUnit: UNITS[field] };
}

// Growth: one line for each size.
export function series(title, columns, lines) {
  return { title, columns, lines, bars: lines.map(([size, figure]) => bar(String(size), figure, true)), barsUnit: columns[1] };
}

export function slug(title) {
  return title.toLowerCase().replace(/÷/g, 'over').replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
}

function met(middle, { least, most }) {
  if (least !== undefined) return middle >= least;
  return most === undefined ? null : middle <= most;
}
