// A thousand services in one host: its memory, its start, and what they cost a request to one of them.
import { route, service, startHost, untilCold } from '../host.mjs';
import { component } from '../places.mjs';
import { atLeast, atMost, bar, ratio, value } from '../results.mjs';
import { rounds } from '../rounds.mjs';
import { folder } from '../scratch.mjs';
import { residentMebibytes, stop } from '../servers.mjs';

const CONNECTIONS = 64;
const MANY = 1000;

export async function services(options) {
  const home = folder('thousand');
  const starts = [];
  let host = await startHost(home, configuration(MANY));
  for (let round = 0; round < options.rounds; round += 1) {
    await stop(host);
    host = await startHost(home, configuration(MANY));
    starts.push(host.seconds);
  }
  await untilCold(host);
  const resident = residentMebibytes(host);
  const alone = await startHost(folder('alone'), configuration(1));
  const figures = await rounds([
    { name: 'Hostel, 1 service', server: alone, path: '/s0/', connections: CONNECTIONS },
    { name: 'Hostel, 1,000 services', server: host, path: '/s0/', connections: CONNECTIONS },
  ], options);
  return [
    { ...value('memory with 1,000 services, none warm', [resident], 'MiB', atMost(600)), ...shown(resident, 'MiB resident') },
    { ...value('start of 1,000 services', starts, 's', atMost(5)), ...shown(Math.max(...starts), 's, the slowest') },
    ratio('hello beside 999 other services ÷ alone', figures, 'Hostel, 1,000 services', 'Hostel, 1 service', 'rate', atLeast(0.95)),
  ];
}

// So many services of the same component, each with a route of its own.
export function configuration(count) {
  const names = Array.from({ length: count }, (_, index) => `s${index}`);
  return names.map((name) => service(name, component('bench_hello')) + route(`/${name}/{*rest}`, `service = "${name}"`)).join('');
}

function shown(height, barsUnit) {
  return { bars: [bar('Hostel, 1,000 services', height)], barsUnit };
}
