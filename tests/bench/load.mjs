// Requests from wrk, and what they cost the servers.
import { spawn } from 'node:child_process';

import { program } from './places.mjs';
import { adopt, cpuMicroseconds } from './servers.mjs';

const MICROSECONDS = { us: 1, ms: 1000, s: 1_000_000, m: 60_000_000 };

// One run: requests per second, microseconds of latency, and of server CPU for each request.
export async function load({ server, behind = [], path = '/', connections, headers = [], script }, seconds) {
  const before = cpuMicroseconds([server, ...behind]);
  const words = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...headers.flatMap((line) => ['-H', line])];
  const told = await output(program('wrk'), [...words, ...(script ? ['-s', script] : []), server.url + path]);
  const cpu = cpuMicroseconds([server, ...behind]) - before;
  if (/Non-2xx or 3xx responses/.test(told)) throw new Error(`${path}: ${told}`);
  const requests = Number(found(told, /(\d+) requests in/)[1]);
  return { rate: Number(found(told, /Requests\/sec:\s+([\d.]+)/)[1]), cpu: cpu / requests, p50: latency(told, 50), p99: latency(told, 99) };
}

// What a program prints; the loop of events goes on meanwhile, so that signals are heard.
export function output(command, words) {
  return new Promise((done, failed) => {
    const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    adopt(child);
    let text = '';
    child.stdout.on('data', (chunk) => { text += chunk; });
    child.once('error', failed);
    child.once('close', (code) => (code === 0 ? done(text) : failed(new Error(`${command} ended with ${code}: ${text}`))));
  });
}

function latency(told, percent) {
  const [, value, unit] = found(told, new RegExp(`\\s${percent}%\\s+([\\d.]+)(us|ms|s|m)\\n`));
  return Number(value) * MICROSECONDS[unit];
}

function found(told, pattern) {
  const match = told.match(pattern);
  if (!match) throw new Error(`wrk told no ${pattern}: ${told}`);
  return match;
}
