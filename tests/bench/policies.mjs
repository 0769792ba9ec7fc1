// What each policy of the gateway costs: server CPU per request, beside the same route without it.
//
//   cargo build --release && cargo build --release --target wasm32-wasip2 -p probe && node tests/bench/policies.mjs [ROUNDS]
//
// Every round asks every route in turn, so that noise of the machine meets all alike; the table shows medians of
// rounds. CPU is what the kernel accounts to the host's process; requests per second depend on what else runs.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import * as hosts from './host.mjs';
import { load } from './load.mjs';
import { median } from './numbers.mjs';
import { component, hostel } from './places.mjs';
import { folder, scratch } from './scratch.mjs';
import { stopForGood } from './servers.mjs';

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = 2;
const CONNECTIONS = 32;

// Each row: what is measured, beside which other row, the lines of its route, and what is asked.
const ROWS = [
  { name: 'component, nothing else', lines: '' },
  { name: 'match by header and query', lines: 'headers = { x-plan = "gold" }\nquery = { v = "2" }', query: '?v=2', headers: ['x-plan: gold'] },
  { name: 'rewrite of the path', lines: 'rewrite = { replace-prefix = { from = "PATH", to = "/other" } }' },
  { name: 'request and response headers', lines: 'request-headers = { set = { x-a = "1" }, remove = ["x-b"] }\nresponse-headers = { set = { x-c = "1" } }' },
  { name: 'weighted split of two', lines: null, split: true },
  { name: 'rate limit by address', lines: 'rate-limit = { requests = 1000000, per = "1s" }' },
  { name: 'CORS, with an origin', lines: 'cors = { origins = ["https://shop.example.com"] }', headers: ['origin: https://shop.example.com'] },
  { name: 'security headers', lines: 'security-headers = true' },
  { name: 'API key', lines: 'auth = { ways = ["key"] }', key: true },
  { name: 'token (ES256, seen before)', lines: 'auth = { ways = ["token"] }', token: true },
  { name: 'cache, kept nowhere', lines: 'cache = true', headers: ['cache-control: no-store'] },
  { name: 'cache, answered by it', lines: 'cache = { default-time = "1h" }' },
  { name: 'redirect', redirect: true },
  { name: 'file of 16 KiB', files: true },
  { name: 'file of 16 KiB, gzip', files: true, lines: 'compress = true', headers: ['accept-encoding: gzip'], beside: 'file of 16 KiB' },
];

const issuer = await startIssuer();
const host = await startHost();
try {
  const key = execFileSync(hostel, ['--config', host.file, 'keys', 'add', 'bench'], { encoding: 'utf8' }).split('\n')[0];
  for (const row of ROWS) {
    if (row.key) row.headers = [`x-api-key: ${key}`];
    if (row.token) row.headers = [`authorization: Bearer ${issuer.token}`];
    await answered(row);
  }
  const figures = new Map(ROWS.map((row) => [row.name, []]));
  for (let round = 1; round <= ROUNDS; round += 1) {
    process.stderr.write(`round ${round} of ${ROUNDS}\n`);
    for (const row of ROWS) figures.get(row.name).push(await measure(row));
  }
  print(figures);
} finally {
  issuer.server.close();
  await stopForGood();
  rmSync(scratch, { recursive: true });
}

function path(row) {
  return `/row${ROWS.indexOf(row)}`;
}

function asked(row) {
  return `${path(row)}/${row.files ? 'page.html' : 'ok'}${row.query ?? ''}`;
}

function route(row) {
  const target = row.split
    ? 'split = [{ service = "first", weight = 1 }, { service = "second", weight = 1 }]'
    : row.redirect ? 'redirect = { to = "/elsewhere" }' : row.files ? 'files = "site"' : 'service = "first"';
  return hosts.route(`${path(row)}/{*rest}`, `${target}\n${(row.lines ?? '').replace('PATH', path(row))}`);
}

function startHost() {
  const home = folder('policies');
  mkdirSync(join(home, 'site'));
  writeFileSync(join(home, 'site/page.html'), '<p>The same words again and again, as pages have them.</p>\n'.repeat(280).slice(0, 16384));
  const granted = 'database = "embedded"\nbuckets = ["granted"]\npublishes = ["probe.*"]';
  const provider = `[issuers.bench]\nissuer = "${issuer.url}"\naudience = ["bench"]\n`;
  const services = ['first', 'second'].map((name) => hosts.service(name, component('probe'), granted));
  return hosts.startHost(home, [provider, ...services, ...ROWS.map(route)].join(''));
}

// A provider of one key, and a token of it.
async function startIssuer() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'ES256' };
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${server.address().port}`;
  server.on('request', (request, response) => {
    const found = request.url.startsWith('/.well-known') ? { issuer: url, jwks_uri: `${url}/jwks` } : { keys: [jwk] };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(found));
  });
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: url, aud: 'bench', sub: 'bench', scope: 'a b', iat: now, exp: now + 3600 };
  const message = `${encode({ alg: 'ES256', kid: 'one' })}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(message), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return { server, url, token: `${message}.${signature.toString('base64url')}` };
}

// Whoever would measure refusals is told so.
async function answered(row) {
  const headers = Object.fromEntries((row.headers ?? []).map((line) => line.split(': ')));
  const response = await fetch(host.url + asked(row), { headers, redirect: 'manual' });
  await response.arrayBuffer();
  if (response.status >= 400) throw new Error(`${row.name}: ${response.status}`);
}

function measure(row) {
  return load({ server: host, path: asked(row), connections: CONNECTIONS, headers: row.headers }, SECONDS);
}

function print(figures) {
  console.log('| policy | CPU µs a request | more than without, µs | requests/s |\n| --- | ---: | ---: | ---: |');
  for (const row of ROWS) {
    const own = figures.get(row.name);
    const base = figures.get(row.beside ?? ROWS[0].name);
    const more = median(own.map((figure, round) => figure.cpu - base[round].cpu));
    const cells = [row.name, median(own.map((figure) => figure.cpu)).toFixed(1), more.toFixed(1), median(own.map((figure) => figure.rate)).toFixed(0)];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
