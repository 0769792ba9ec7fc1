// More and more requests that wait in instances at once, each in one of its own as long as there are any.
import { readFileSync } from 'node:fs';
import { route, service, startHost } from '../host.mjs';
import { output } from '../load.mjs';
import { component, program } from '../places.mjs';
import { series } from '../results.mjs';
import { folder } from '../scratch.mjs';
import { forgetPeak, peakMebibytes } from '../servers.mjs';

const COUNTS = [1, 10, 100, 1000, 5000, 10_000];
// What the gateway lets one connection of HTTP/2 ask at once.
const STREAMS = 100;
// Each place is asked so often, one request after the other.
const TURNS = 3;
const WAIT_MILLISECONDS = 1000;
const GATEWAY = 'requests-max = 20000';
// As many as a host can have where Linux gives it enough memory maps; with fewer, requests wait for an instance.
const INSTANCES = 10_000;
const LIMITS = `instances = { max = ${INSTANCES} }\nlimits = { service-memory = "1TiB", wait = "30s" }`;

export async function flights() {
  const configuration = service('waiting', component('bench_guest'), LIMITS) + route('/{*rest}', 'service = "waiting"');
  const host = await startHost(folder('flights'), configuration, { gateway: GATEWAY });
  const maps = readFileSync('/proc/sys/vm/max_map_count', 'utf8').trim();
  const lines = [];
  for (const count of COUNTS) lines.push(await flight(host, count));
  return [series(`Requests in flight, ${WAIT_MILLISECONDS} ms each, on at most ${INSTANCES} instances with vm.max_map_count ${maps}`, ['in flight', 'MiB resident at most', '% answered', 'ms on average'], lines)];
}

async function flight(host, count) {
  forgetPeak(host);
  const streams = Math.min(count, STREAMS);
  const words = ['-n', count * TURNS, '-c', count / streams, '-m', streams, `${host.url}/wait/${WAIT_MILLISECONDS}`];
  const told = await output(program('h2load'), words.map(String));
  const answered = Number(told.match(/status codes: (\d+) 2xx/)[1]);
  return [count, peakMebibytes(host), (100 * answered) / (count * TURNS), milliseconds(told)];
}

// The third column of h2load's line: least, most, mean.
function milliseconds(told) {
  const [, value, unit] = told.match(/time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)\s/);
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit];
}
