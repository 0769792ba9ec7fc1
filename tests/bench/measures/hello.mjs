// The same hello on every host of components, behind proxies, and native.
import { route, service, startHost } from '../host.mjs';
import { startHaproxy, startNative, startNginxProxy, startWash, startWasmtime } from '../peers.mjs';
import { Missing, component } from '../places.mjs';
import { median } from '../numbers.mjs';
import { atLeast, atMost, bar, NONE, ratio } from '../results.mjs';
import { rounds, startAll } from '../rounds.mjs';
import { folder } from '../scratch.mjs';
import { stop } from '../servers.mjs';

const CONNECTIONS = 64;
// What a system of some size has; the measured ones are among them.
const ROUTES = 100;
// Ten thousand calls are as good as no end for a run of seconds.
const REUSE = ['--max-instance-reuse-count', '10000'];

export async function hello(options) {
  const servers = await startAll({
    hostel: startHostel,
    hostelP3: startHostelP3,
    hyper: () => startNative('hyper'),
    minimal: () => startNative('component', component('bench_hello')),
    axum: () => startNative('axum'),
    serve: () => startWasmtime(component('bench_hello')),
    serveReuse: () => startWasmtime(component('bench_hello'), REUSE),
    serveP3: () => startWasmtime(component('bench_hello_p3')),
    wash: () => startWash(component('bench_hello')),
    nginx: ({ axum }) => startNginxProxy(axum),
    haproxy: ({ axum }) => startHaproxy(axum),
  });
  return results(await rounds(contestants(servers), options));
}

function contestants({ hostel, hostelP3, hyper, minimal, axum, serve, serveReuse, serveP3, wash, nginx, haproxy }) {
  const many = { connections: CONNECTIONS };
  const one = { connections: 1 };
  return [
    { name: 'Hostel', server: hostel, path: '/hello/', ...many },
    { name: 'wasmtime serve', server: serve, ...many },
    { name: 'Hostel, fresh instances', server: hostel, path: '/fresh/', ...many },
    { name: 'wasmtime serve, reuse', server: serveReuse, ...many },
    { name: 'nginx → axum', server: nginx, behind: [axum], ...many },
    { name: 'haproxy → axum', server: haproxy, behind: [axum], ...many },
    { name: 'wash dev', server: wash, ...many },
    { name: 'hyper', server: hyper, ...many },
    { name: 'minimal host', server: minimal, ...many },
    { name: 'Hostel, WASI 0.3', server: hostelP3, path: '/hello/', ...many },
    { name: 'wasmtime serve, WASI 0.3', server: serveP3, ...many },
    { name: 'Hostel, one connection', server: hostel, path: '/hello/', ...one },
    { name: 'hyper, one connection', server: hyper, ...one },
    { name: 'minimal host, one connection', server: minimal, ...one },
  ];
}

function results(figures) {
  const over = (title, partner, target, own = 'Hostel') => ratio(title, figures, own, partner, 'rate', target);
  return [
    over('hello ÷ wasmtime serve', 'wasmtime serve', atLeast(5)),
    over('hello ÷ wasmtime serve that reuses instances', 'wasmtime serve, reuse', atLeast(1.15)),
    over('hello ÷ nginx before axum', 'nginx → axum', atLeast(1.3)),
    over('hello ÷ haproxy before axum', 'haproxy → axum', atLeast(1)),
    over('hello ÷ wash dev', 'wash dev', NONE),
    ratio('CPU for a hello ÷ bare hyper', figures, 'Hostel', 'hyper', 'cpu', atMost(3, '≤ 3, goal 2.5')),
    ratio('p50 of one connection ÷ bare hyper', figures, 'Hostel, one connection', 'hyper, one connection', 'p50', atMost(1.2)),
    over('a fresh instance for each hello ÷ wasmtime serve', 'wasmtime serve', atLeast(1.15), 'Hostel, fresh instances'),
    over('hello by WASI 0.3 ÷ wasmtime serve', 'wasmtime serve, WASI 0.3', atLeast(1.1), 'Hostel, WASI 0.3'),
    ...leastOf(figures),
    everyContestant(figures),
  ];
}

// The figures themselves, behind the ratios.
function everyContestant(figures) {
  const fields = ['rate', 'cpu', 'p50', 'p99'];
  const present = Object.entries(figures).filter(([, rounds]) => !rounds.missing);
  const lines = present.map(([name, rounds]) => [name, ...fields.map((field) => median(rounds.map((figure) => figure[field])))]);
  const columns = ['contestant', 'requests/s', 'CPU µs', 'p50 µs', 'p99 µs'];
  return { title: 'A hello by every contestant', columns, lines, bars: lines.map(([name, rate]) => bar(name, rate)), barsUnit: columns[1] };
}

// What the same measures come to where the host does nothing but call the component.
function leastOf(figures) {
  const least = (title, own, partner, field) => ratio(`a minimal host: ${title}`, figures, own, partner, field, NONE);
  return [
    least('hello ÷ wasmtime serve that reuses instances', 'minimal host', 'wasmtime serve, reuse', 'rate'),
    least('hello ÷ nginx before axum', 'minimal host', 'nginx → axum', 'rate'),
    least('hello ÷ haproxy before axum', 'minimal host', 'haproxy → axum', 'rate'),
    least('CPU for a hello ÷ bare hyper', 'minimal host', 'hyper', 'cpu'),
    least('p50 of one connection ÷ bare hyper', 'minimal host, one connection', 'hyper, one connection', 'p50'),
  ];
}

function startHostel() {
  const wasm = component('bench_hello');
  const measured = [route('/hello/{*rest}', 'service = "hello"'), route('/fresh/{*rest}', 'service = "fresh"')];
  const others = Array.from({ length: ROUTES - measured.length }, (_, index) => route(`/other/${index}/{id}`, 'service = "hello"'));
  const services = service('hello', wasm) + service('fresh', wasm, 'instances = { reuse = 1 }');
  return startHost(folder('hello'), [services, ...measured, ...others].join(''));
}

// A host of its own: one that refuses the component says so in what it tells at the start.
async function startHostelP3() {
  const host = await startHost(folder('hello-p3'), service('hello', component('bench_hello_p3')) + route('/hello/{*rest}', 'service = "hello"'));
  if (host.failures.length === 0) return host;
  await stop(host);
  throw new Missing(`not served: ${host.failures[0][1]}`);
}
