// Processes that are measured: started here, stopped by their id, and what the kernel accounts to them.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

// The kernel accounts in hundredths of a second (sysconf(_SC_CLK_TCK) on Linux).
const MICROSECONDS_PER_TICK = 10_000;
// A host of a thousand services and a cold cache is the slowest to start.
const START_SECONDS_MAX = 120;
// How long a server may drain before it is killed.
const STOP_MILLISECONDS_MAX = 10_000;
const POLL_MILLISECONDS = 20;

const running = new Set();
let stopping = false;

// Starts a process and gives it to `ready`, which resolves to what else is known of it once it answers.
export async function start(command, words, ready, { cwd, environment } = {}) {
  if (stopping) throw new Error('the benchmark is being stopped');
  const env = { ...process.env, RUST_BACKTRACE: '0', ...environment };
  const child = spawn(command, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const server = { ...adopt(child), told: '', complaints: '' };
  child.stdout.on('data', (chunk) => { server.told += chunk; });
  child.stderr.on('data', (chunk) => { server.complaints = (server.complaints + chunk).slice(-4000); });
  const ended = new Promise((_, failed) => {
    child.once('error', failed);
    child.once('exit', (code) => failed(new Error(`${command} ended with ${code}: ${server.complaints}`)));
  });
  ended.catch(() => {});
  const late = new AbortController();
  try {
    const times = pause(START_SECONDS_MAX * 1000, null, { signal: late.signal }).then(() => {
      throw new Error(`${command} did not answer in ${START_SECONDS_MAX} s: ${server.complaints}`);
    });
    times.catch(() => {});
    return Object.assign(server, await Promise.race([ready(server), ended, times]));
  } finally {
    late.abort();
  }
}

// Takes a process on the list of those that are stopped at the end.
export function adopt(child) {
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return { child, pid: child.pid };
}

export async function stop({ child }) {
  if (!running.has(child)) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  const killing = setTimeout(() => child.kill('SIGKILL'), STOP_MILLISECONDS_MAX);
  await ended;
  clearTimeout(killing);
}

export async function stopAll() {
  await Promise.all([...running].map((child) => stop({ child })));
}

// Nothing is started from now on.
export async function stopForGood() {
  stopping = true;
  await stopAll();
}

// Looks again and again until there is something.
export async function until(look) {
  for (;;) {
    const found = await look();
    if (found) return found;
    await pause(POLL_MILLISECONDS);
  }
}

// Waits for the first answer at an address.
export function answering(url) {
  return async () => {
    await until(() => fetch(url, { redirect: 'manual' }).then((response) => response.arrayBuffer(), () => null));
    return { url: new URL(url).origin };
  };
}

export async function freePort() {
  const listener = createServer();
  await new Promise((listening) => listener.listen(0, '127.0.0.1', listening));
  const { port } = listener.address();
  await new Promise((closed) => listener.close(closed));
  return port;
}

// User and system time of the servers with all their processes.
export function cpuMicroseconds(servers) {
  return servers.flatMap(processes).map(ticks).reduce((sum, one) => sum + one, 0) * MICROSECONDS_PER_TICK;
}

export function residentMebibytes(server) {
  return memory(server, 'VmRSS');
}

// The most since the last `forgetPeak`.
export function peakMebibytes(server) {
  return memory(server, 'VmHWM');
}

export function forgetPeak(server) {
  writeFileSync(`/proc/${server.pid}/clear_refs`, '5');
}

function memory(server, field) {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(status.match(new RegExp(`${field}:\\s+(\\d+) kB`))[1]) / 1024;
}

function processes(server) {
  const children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8');
  return [server.pid, ...children.split(' ').filter(Boolean)];
}

function ticks(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
