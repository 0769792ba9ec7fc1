// Requests per second and latency with more and more connections.
import { route, service, startHost } from '../host.mjs';
import { median } from '../numbers.mjs';
import { component } from '../places.mjs';
import { series } from '../results.mjs';
import { rounds } from '../rounds.mjs';
import { folder } from '../scratch.mjs';

const COUNTS = [1, 4, 16, 64, 256, 1024];
// All come from one address, and those of the run before may still be closing.
const GATEWAY = 'connections-per-address-max = 4096';

export async function connections(options) {
  const configuration = service('hello', component('bench_hello')) + route('/hello/{*rest}', 'service = "hello"');
  const server = await startHost(folder('connections'), configuration, { gateway: GATEWAY });
  const figures = await rounds(COUNTS.map((count) => ({ name: String(count), server, path: '/hello/', connections: count })), options);
  const middle = (count, field) => median(figures[count].map((figure) => figure[field]));
  const lines = COUNTS.map((count) => [count, middle(count, 'rate'), middle(count, 'p50'), middle(count, 'p99'), middle(count, 'cpu')]);
  return [series('Connections', ['connections', 'requests/s', 'p50, µs', 'p99, µs', 'µs of CPU for each request'], lines)];
}
