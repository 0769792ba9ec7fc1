// One service calls another: in one Hostel, and natively over loopback.
import { route, service, startHost } from '../host.mjs';
import { startNative } from '../peers.mjs';
import { component } from '../places.mjs';
import { atMost, bar, value } from '../results.mjs';
import { median } from '../numbers.mjs';
import { rounds, startAll } from '../rounds.mjs';
import { folder } from '../scratch.mjs';

export async function calls(options) {
  const hostel = await startHostel();
  const { front } = await startAll({
    back: () => startNative('axum'),
    front: ({ back }) => startNative('front', new URL(back.url).host),
  });
  const one = { connections: 1 };
  const figures = await rounds([
    { name: 'Hostel, hello', server: hostel, path: '/front/hello', ...one },
    { name: 'Hostel, call', server: hostel, path: '/front/call', ...one },
    { name: 'axum, hello', server: front, path: '/hello', ...one },
    { name: 'axum, call', server: front, path: '/call', ...one },
  ], options);
  return results(figures);
}

function results(figures) {
  const own = added(figures, 'Hostel');
  const shown = { bars: [bar('Hostel', median(own))], barsUnit: 'µs added to p50' };
  const beside = { title: 'a call of another service, added p50 ÷ axum over loopback', target: atMost(1 / 3, '< 1/3') };
  const alone = { ...value('a call of another service, added p50', own, 'µs', atMost(30)), ...shown };
  const { missing } = figures['axum, call'];
  if (missing) return [alone, { ...beside, missing }];
  const native = added(figures, 'axum');
  const ratios = own.map((microseconds, round) => microseconds / native[round]);
  shown.bars.push(bar('axum over loopback', median(native)));
  return [alone, { ...value(beside.title, ratios, '×', beside.target), ...shown }];
}

// What the call adds to p50, round by round.
function added(figures, name) {
  return figures[`${name}, call`].map((figure, round) => figure.p50 - figures[`${name}, hello`][round].p50);
}

function startHostel() {
  const services = service('front', component('bench_guest'), 'calls = ["back"]') + service('back', component('bench_hello'));
  return startHost(folder('calls'), services + route('/front/{*rest}', 'service = "front"'));
}
