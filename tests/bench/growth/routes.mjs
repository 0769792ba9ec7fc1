// What a request costs with more and more routes.
import { median } from '../numbers.mjs';
import { contestant } from '../measures/routes.mjs';
import { series } from '../results.mjs';
import { rounds } from '../rounds.mjs';

const COUNTS = [10, 100, 1000, 10_000];

export async function routes(options) {
  const contestants = [];
  for (const count of COUNTS) contestants.push(await contestant(count));
  const figures = await rounds(contestants, options);
  const middle = (name, field) => median(figures[name].map((figure) => figure[field]));
  const lines = contestants.map(({ name }, index) => [COUNTS[index], middle(name, 'cpu'), middle(name, 'rate')]);
  return [series('Routes, redirects to all in turn', ['routes', 'µs of CPU for each request', 'requests/s'], lines)];
}
