// Starts a host, keeps it busy for a long time, and says whether it kept its promises.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { route, service, startHost } from '../bench/host.mjs';
import { facts } from '../bench/machine.mjs';
import { component, target } from '../bench/places.mjs';
import { folder, scratch } from '../bench/scratch.mjs';
import { stopForGood } from '../bench/servers.mjs';
import { Load } from './load.mjs';
import { judge, table } from './verdict.mjs';
import { Watch } from './watch.mjs';

const HELP = `tests/soak [--minutes M] [--rate R] [--out FILE] [--no-build]

Half an hour of 200 requests a second unless told otherwise. Ends with 1 when a promise is broken.
`;
// Connections and instances are there by then.
const START_SECONDS = 5;
const QUIET_SECONDS = 15;
// Services of the probe: one behaves, one does not always, one is called by both.
const LIMITS = 'limits = { memory = "32MiB", cpu = "300ms" }';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '200' },
    out: { type: 'string', default: join(target, 'soak.json') },
    'no-build': { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const [minutes, rate] = [positive('minutes'), positive('rate')];
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopForGood().finally(() => process.exit(130)));

try {
  process.exitCode = await soak();
} finally {
  await stopForGood();
  rmSync(scratch, { recursive: true, force: true });
}

async function soak() {
  const place = folder('soak');
  mkdirSync(join(place, 'site'));
  writeFileSync(join(place, 'site/page.html'), '<p>here</p>\n'.repeat(5_000));
  const host = await startHost(place, configuration());
  await new Load(host.url, { rate, misbehaves: false }).run(START_SECONDS);
  const quiet = await new Load(host.url, { rate, misbehaves: false }).run(QUIET_SECONDS);
  const watch = new Watch(host.pid);
  const load = new Load(host.url, { rate, misbehaves: true });
  const showing = setInterval(() => process.stderr.write(`${watch.now()}, ${load.now()}\n`), 60_000);
  const busy = await load.run(minutes * 60);
  clearInterval(showing);
  const verdict = judge({ quiet, busy, samples: watch.stop(), isAlive: host.child.exitCode === null });
  process.stdout.write(table(verdict));
  mkdirSync(dirname(resolve(values.out)), { recursive: true });
  writeFileSync(values.out, `${JSON.stringify({ ...facts(), minutes, rate, ...verdict }, null, 1)}\n`);
  return verdict.promises.every(({ kept }) => kept) ? 0 : 1;
}

function configuration() {
  const probe = (name, lines) =>
    service(name, component('probe'), `database = "embedded"\nbuckets = ["granted"]\npublishes = ["probe.*"]\n${lines}`) +
    route(`/${name}/{*rest}`, `service = "${name}"`);
  return [
    probe('innocent', 'calls = ["called"]\nsubscribes = ["probe.*"]'),
    probe('guilty', `calls = ["called"]\n${LIMITS}`),
    probe('called', ''),
    route('/files/{*rest}', 'files = "site"'),
  ].join('\n');
}

function positive(name) {
  const number = Number(values[name]);
  if (!(number > 0)) throw new Error(`--${name} takes a number above 0, not ${values[name]}`);
  return number;
}
