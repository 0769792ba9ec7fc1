// Hostel itself: a host of a configuration that is written here.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { hostel, program } from './places.mjs';
import { start, until } from './servers.mjs';

// Everything else of the gateway and the host is as it comes.
const LISTENERS = `[gateway]
listen = "127.0.0.1:0"
access-log = "access.log"
GATEWAY
[admin]
listen = "127.0.0.1:0"
`;

// Runs `services and routes` in a folder that stays the host's; a second start there finds the compiled components.
export async function startHost(folder, services, { gateway = '' } = {}) {
  const file = join(folder, 'gateway.toml');
  writeFileSync(file, LISTENERS.replace('GATEWAY', gateway) + services);
  const begin = performance.now();
  const ready = (server) => until(() => told(server.told));
  const host = await start(program(hostel), ['--config', file, 'up', '--json'], ready, { cwd: folder });
  return Object.assign(host, { file, url: host.gateway, seconds: (performance.now() - begin) / 1000 });
}

export function service(name, component, lines = '') {
  return `[services.${name}]\ncomponent = ${JSON.stringify(component)}\n${lines}\n`;
}

export function route(path, lines) {
  return `[[routes]]\npath = "${path}"\n${lines}\n`;
}

// Waits until no instance is left: after a deploy one stays warm for half a minute.
export async function untilCold(host) {
  await until(() => command(host, 'instances').length === 0);
}

// What a verb of the command says of the host.
export function command(host, ...words) {
  return JSON.parse(execFileSync(hostel, ['--config', host.file, ...words, '--json'], { encoding: 'utf8' }));
}

function told(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
