// Bodies of a component that grow, downwards and upwards: how fast they pass, and what the host holds of them.
import { Agent, request } from 'node:http';

import { route, service, startHost } from '../host.mjs';
import { component } from '../places.mjs';
import { series } from '../results.mjs';
import { folder } from '../scratch.mjs';
import { forgetPeak, peakMebibytes, residentMebibytes } from '../servers.mjs';

const MEBIBYTE = 1024 * 1024;
const SIZES = [['1 B', 1], ['1 KiB', 1024], ['64 KiB', 64 * 1024], ['1 MiB', MEBIBYTE], ['10 MiB', 10 * MEBIBYTE], ['100 MiB', 100 * MEBIBYTE]];
// At once; a host that held whole bodies would show four of them.
const CONNECTIONS = 4;
// Of one size, so that small ones are no matter of a millisecond and large ones none of a minute.
const REQUESTS_MAX = 2000;
const BYTES = 400 * MEBIBYTE;
const CHUNK = Buffer.alloc(64 * 1024, 'x');

export async function bodies() {
  const lines = 'limits = { cpu = "60s", time = "60s" }';
  const configuration = service('bodies', component('bench_guest'), lines) + route('/{*rest}', 'service = "bodies"\nbody = "1GiB"');
  const host = await startHost(folder('bodies'), configuration);
  return [
    await grown('Downloads', host, (agent, bytes) => exchange(`${host.url}/bytes/${bytes}`, { agent }, 0)),
    await grown('Uploads', host, (agent, bytes) => exchange(`${host.url}/take`, { agent, method: 'POST', headers: { 'content-length': bytes } }, bytes)),
  ];
}

async function grown(title, host, exchangeOne) {
  const lines = [];
  for (const [name, bytes] of SIZES) {
    const before = residentMebibytes(host);
    forgetPeak(host);
    const count = Math.max(CONNECTIONS, Math.min(REQUESTS_MAX, BYTES / bytes));
    const { seconds, broken } = await exchanged(count, (agent) => exchangeOne(agent, bytes));
    lines.push([name, peakMebibytes(host), before, (count * bytes) / MEBIBYTE / seconds, count / seconds, broken]);
  }
  return series(`${title}, ${CONNECTIONS} at once`, ['body', 'MiB resident at most', 'MiB before', 'MiB/s', 'requests/s', 'broken off'], lines);
}

// Seconds for so many exchanges, and how many of them broke off.
async function exchanged(count, one) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const begin = performance.now();
  let left = count;
  let broken = 0;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await one(agent).catch(() => { broken += 1; });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  agent.destroy();
  return { seconds: (performance.now() - begin) / 1000, broken };
}

function exchange(url, options, bytes) {
  return new Promise((done, failed) => {
    const asked = request(url, options, (response) => {
      if (response.statusCode !== 200) failed(new Error(`${url}: ${response.statusCode}`));
      response.resume().once('end', done).once('error', failed);
    });
    asked.once('error', failed);
    send(asked, bytes);
  });
}

function send(asked, bytes) {
  let left = bytes;
  while (left > 0) {
    const part = CHUNK.subarray(0, Math.min(left, CHUNK.length));
    left -= part.length;
    if (!asked.write(part)) {
      asked.once('drain', () => send(asked, left));
      return;
    }
  }
  asked.end();
}
