// The benchmark: every group of measures in turn, then the table, the charts and the files. Started by `run`.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cached } from './measures/cached.mjs';
import { calls } from './measures/calls.mjs';
import { files } from './measures/files.mjs';
import { first } from './measures/first.mjs';
import { growth } from './measures/growth.mjs';
import { hello } from './measures/hello.mjs';
import { routes } from './measures/routes.mjs';
import { services } from './measures/services.mjs';
import { chart } from './chart.mjs';
import { facts } from './machine.mjs';
import { HELP, parse } from './options.mjs';
import { Missing } from './places.mjs';
import { markdown } from './report.mjs';
import { NONE, slug } from './results.mjs';
import { stopAll, stopForGood } from './servers.mjs';
import { scratch } from './scratch.mjs';

const GROUPS = { hello, calls, first, files, cached, services, routes, growth };

async function measure(options) {
  const results = [];
  for (const name of options.only ?? Object.keys(GROUPS)) {
    process.stderr.write(`${name}\n`);
    try {
      results.push(...(await GROUPS[name](options)));
    } catch (error) {
      if (interrupted) throw error;
      results.push(failed(name, error));
    }
    await stopAll();
  }
  return results;
}

// One group that fails takes nothing from the others.
function failed(name, error) {
  process.stderr.write(`  ${error.stack}\n`);
  if (!(error instanceof Missing)) process.exitCode = 1;
  return { title: `the whole group ${name}`, target: NONE, missing: error.message.split('\n')[0] };
}

function write(options, results) {
  const report = { ...facts(), rounds: options.rounds, seconds: options.seconds, results };
  mkdirSync(options.out, { recursive: true });
  const text = markdown(report);
  writeFileSync(join(options.out, 'results.md'), text);
  writeFileSync(options.json ?? join(options.out, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
  for (const result of results.filter((result) => result.bars)) {
    writeFileSync(join(options.out, `${slug(result.title)}.svg`), chart(result));
  }
  process.stdout.write(text);
}

async function clean() {
  await stopForGood();
  rmSync(scratch, { recursive: true, force: true });
}

let interrupted = false;
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
  process.once(signal, () => {
    interrupted = true;
    clean().finally(() => process.exit(code));
  });
}

try {
  const options = parse(process.argv.slice(2), Object.keys(GROUPS));
  if (options.help) process.stdout.write(HELP);
  else write(options, await measure(options));
} catch (error) {
  process.stderr.write(`tests/bench/run: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  await clean();
}
