// The first request to a service that has no instance yet, beside the second one.
import { route, service, startHost, untilCold } from '../host.mjs';
import { output } from '../load.mjs';
import { median, quantile } from '../numbers.mjs';
import { component, native, program } from '../places.mjs';
import { atMost, bar, NONE, value } from '../results.mjs';
import { folder } from '../scratch.mjs';

// Each gives one sample of a first request; with fewer a p99 is one of the two worst.
const SERVICES = 400;
// Until the connection and the gateway are warm.
const WARM_UP_REQUESTS = 2000;

export async function first() {
  const names = Array.from({ length: SERVICES }, (_, index) => `s${index}`);
  const host = await startHost(folder('first'), [...names, 'other'].map(served).join(''));
  await untilCold(host);
  const paths = [...Array(WARM_UP_REQUESTS).fill('other'), ...names, ...names].map((name) => `/${name}/`);
  const told = await output(program(native), ['ask', new URL(host.url).host, ...paths]);
  const times = told.trim().split('\n').map(Number).slice(WARM_UP_REQUESTS);
  return results(times.slice(0, SERVICES), times.slice(SERVICES));
}

function results(firsts, seconds) {
  const differences = firsts.map((first, index) => first - seconds[index]);
  const bars = [
    bar('Hostel, first, p99', quantile(firsts, 0.99)),
    bar('Hostel, second, p99', quantile(seconds, 0.99)),
    bar('Hostel, first, p50', median(firsts)),
    bar('Hostel, second, p50', median(seconds)),
  ];
  const shown = { bars, barsUnit: 'µs' };
  const p99 = (title, values, target) => ({ ...value(title, values, 'µs', target, quantile(values, 0.99)), ...shown });
  return [
    p99('first request without a warm instance, p99', firsts, atMost(2000)),
    p99('the same request once it is warm, p99', seconds, NONE),
    p99('what the first request takes longer, p99', differences, NONE),
    { ...value('what the first request takes longer, p50', differences, 'µs', NONE), ...shown },
  ];
}

function served(name) {
  return service(name, component('bench_hello')) + route(`/${name}/{*rest}`, `service = "${name}"`);
}
