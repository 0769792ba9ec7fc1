// Where the programs and components lie.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const target = resolve(repository, process.env.CARGO_TARGET_DIR ?? 'target');
export const hostel = process.env.BENCH_HOSTEL ?? join(target, 'release/hostel');
export const native = join(target, 'release/bench-native');
export const wasmtime = join(target, 'bench/python/wasmtime_cli/wasmtime');
export const wash = join(target, 'bench/python/wash_cli/wash');

export function component(name) {
  return join(target, 'wasm32-wasip2/release', `${name}.wasm`);
}

// A program by its path or by its name on the PATH; what is missing is named, so that its rows can say so.
export function program(name) {
  if (existsSync(name)) return name;
  try {
    return execFileSync('which', [name], { encoding: 'utf8' }).trim();
  } catch {
    throw new Missing(`${name} is not installed`);
  }
}

// What is not there to be measured.
export class Missing extends Error {}
