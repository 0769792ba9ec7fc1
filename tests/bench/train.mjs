// What a host is asked for often and the benchmark does not ask for: HTTP/2. For the profile that `host/dist` makes.
import { rmSync } from 'node:fs';

import { route, service, startHost } from './host.mjs';
import { output } from './load.mjs';
import { component, program } from './places.mjs';
import { folder, scratch } from './scratch.mjs';
import { stopForGood } from './servers.mjs';

const REQUESTS = 30_000;
const CONNECTIONS = 16;
const STREAMS = 8;

try {
  const host = await startHost(folder('train'), service('hello', component('bench_hello')) + route('/{*rest}', 'service = "hello"'));
  process.stdout.write(await output(program('h2load'), [`-n${REQUESTS}`, `-c${CONNECTIONS}`, `-m${STREAMS}`, `${host.url}/`]));
} finally {
  await stopForGood();
  rmSync(scratch, { recursive: true, force: true });
}
