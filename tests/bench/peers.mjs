// What Hostel is compared with, started on loopback.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as places from './places.mjs';
import { folder } from './scratch.mjs';
import { answering, freePort, start, until } from './servers.mjs';

// `hyper`, `axum`, `front` with the address of an `axum`, or `component` with its file.
export function startNative(...words) {
  const ready = (server) => until(() => server.told.match(/^(\d+)\n/)).then(([, port]) => ({ url: `http://127.0.0.1:${port}` }));
  return start(places.program(places.native), words, ready);
}

// `-S cli` is what the standard library of Rust imports.
export function startWasmtime(component, words = []) {
  const ready = (server) => until(() => (server.told + server.complaints).match(/Serving HTTP on (http:\S+\d)/)).then(([, url]) => ({ url }));
  return start(places.program(places.wasmtime), ['serve', '-S', 'cli', ...words, '--addr', '127.0.0.1:0', component], ready);
}

// Without its meters, which Hostel's metrics do not wait for: kinder to it than its default.
export async function startWash(component) {
  const program = places.program(places.wash);
  const home = folder('wash');
  const address = `127.0.0.1:${await freePort()}`;
  mkdirSync(join(home, '.wash'), { recursive: true });
  writeFileSync(join(home, '.wash/config.yaml'), `version: 2.10.3
build:
  command: "true"
  component_path: ${component}
dev:
  address: ${address}
`);
  return start(program, ['dev', '--meters', 'off'], answering(`http://${address}`), { cwd: home, environment: { HOME: home } });
}

// The settings of Debian, but for three: the log is written in blocks, as Hostel's is; connections are not closed every
// thousand requests; and without tcp_nopush, which on loopback holds back the end of 64 KiB for 40 ms.
export async function startNginx(name, { workers, http = '', server }) {
  const program = places.program('nginx');
  const home = folder(name);
  const address = `127.0.0.1:${await freePort()}`;
  const file = join(home, 'nginx.conf');
  writeFileSync(file, `daemon off;
worker_processes ${workers};
pid ${home}/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
  sendfile on;
  keepalive_requests 1000000000;
  access_log ${home}/access.log combined buffer=64k flush=1s;
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi;
  scgi_temp_path ${home}/scgi;
  types { text/html html; }
  ${http}
  server {
    listen ${address};
    ${server}
  }
}
`);
  return start(program, ['-p', home, '-c', file], answering(`http://${address}/`));
}

// Passes every request on, over connections that it keeps.
export function startNginxProxy(behind) {
  return startNginx('nginx-proxy', {
    workers: 1,
    http: `upstream behind { server ${new URL(behind.url).host}; keepalive 128; keepalive_requests 1000000000; }`,
    server: 'location / { proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }',
  });
}

// Without a log, which it could only send elsewhere: kinder to it than to Hostel.
export async function startHaproxy(behind) {
  const program = places.program('haproxy');
  const address = `127.0.0.1:${await freePort()}`;
  const file = join(folder('haproxy'), 'haproxy.cfg');
  writeFileSync(file, `global
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
  http-reuse always
listen all
  bind ${address}
  server behind ${new URL(behind.url).host}
`);
  return start(program, ['-f', file, '-db'], answering(`http://${address}/`));
}
