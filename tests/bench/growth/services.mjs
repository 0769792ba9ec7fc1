// Memory and start of hosts with more and more services.
import { startHost, untilCold } from '../host.mjs';
import { configuration } from '../measures/services.mjs';
import { series } from '../results.mjs';
import { folder } from '../scratch.mjs';
import { residentMebibytes, stop } from '../servers.mjs';

const COUNTS = [1, 10, 100, 1000];

export async function services() {
  const hosts = [];
  for (const count of COUNTS) hosts.push(await startedTwice(count));
  const lines = [];
  for (const [index, host] of hosts.entries()) {
    await untilCold(host);
    lines.push([COUNTS[index], residentMebibytes(host), host.seconds]);
  }
  return [series('Services, none warm', ['services', 'MiB resident', 's to start'], lines)];
}

// The second start finds all components compiled.
async function startedTwice(count) {
  const home = folder(`growth-${count}`);
  await stop(await startHost(home, configuration(count)));
  return startHost(home, configuration(count));
}
