// The command line of the benchmark.
import { parseArgs } from 'node:util';
import { join, resolve } from 'node:path';

import { target } from './places.mjs';

export const HELP = `tests/bench/run [GROUP...] [--rounds N] [--seconds S] [--only GROUP,...] [--json FILE] [--out FOLDER] [--no-build]

Groups: hello, calls, first, files, cached, services, routes, growth; all when none is named.
`;

// Fewer rounds give no spread worth the name.
const ROUNDS = '4';
// Of one row in one round: long enough for hundred ticks of CPU time.
const SECONDS = '3';

export function parse(words, groups) {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: ROUNDS },
      seconds: { type: 'string', default: SECONDS },
      only: { type: 'string' },
      json: { type: 'string' },
      out: { type: 'string', default: join(target, 'bench') },
      'no-build': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const only = [...positionals, ...(values.only?.split(',') ?? [])];
  const unknown = only.filter((name) => !groups.includes(name));
  if (unknown.length > 0) throw new Error(`no group is called ${unknown.join(', ')}; there are ${groups.join(', ')}`);
  return {
    rounds: whole('--rounds', values.rounds),
    seconds: whole('--seconds', values.seconds),
    only: only.length > 0 ? only : null,
    json: values.json && resolve(values.json),
    out: resolve(values.out),
    help: values.help,
  };
}

function whole(name, text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name} takes a whole number from 1, not ${text}`);
  return number;
}
