// What the figures depend on: the machine, and the versions of all that is measured.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpus, release } from 'node:os';

import * as places from './places.mjs';

export function facts() {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: git('describe', '--always', '--dirty'),
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    kernel: release(),
    versions: {
      hostel: version(places.hostel, '--version'),
      wasmtime: version(places.wasmtime, '--version'),
      wash: version(places.wash, '--version'),
      nginx: version('nginx', '-v'),
      haproxy: version('haproxy', '-v'),
      wrk: version('wrk', '-v'),
      h2load: version('h2load', '--version'),
      node: process.version,
      rustc: version('rustc', '--version'),
      hyper: crate('hyper'),
      axum: crate('axum'),
      tokio: crate('tokio'),
    },
  };
}

// The first number with dots in what a program says of itself, on whatever stream and with whatever exit code.
function version(program, word) {
  const { stdout, stderr, error } = spawnSync(program, [word], { encoding: 'utf8' });
  return error ? 'not installed' : ((stdout + stderr).match(/\d+(\.\d+)+\S*/)?.[0] ?? 'unknown');
}

// Of the native servers; the lock may hold an older one for the development of others beside it.
function crate(name) {
  const tree = execFileSync('cargo', ['tree', '--offline', '-p', 'bench-native', '-i', name, '--depth', '0'], { cwd: places.repository, encoding: 'utf8' });
  return tree.split(' ')[1].trim().replace('v', '');
}

function git(...words) {
  return execFileSync('git', words, { cwd: places.repository, encoding: 'utf8' }).trim();
}
