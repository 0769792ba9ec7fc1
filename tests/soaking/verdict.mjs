// What a soak comes to: promise 35 and what every test of a misbehaving guest promises.
import { median, quantile, short } from '../bench/numbers.mjs';

// What a host needs anyway is there by then.
const WARM_UP_MINUTES_MAX = 5;
const WARM_UP_SHARE = 0.4;
const MEBIBYTES_PER_MINUTE_MAX = 1;
// A slope over less is one of caches that fill.
const SLOPE_MINUTES_MIN = 5;
// Connections come and go: the middle of the last quarter may differ by so many from that of the first.
const DESCRIPTORS_MAX = 4;
const DELAY_MAX = 4;
// No delay where others use the machine.
const NO_DELAY_MILLISECONDS = 100;

export function judge({ quiet, busy, samples, isAlive }) {
  const warmUp = Math.min(WARM_UP_MINUTES_MAX, samples.at(-1).minute * WARM_UP_SHARE);
  const warm = samples.filter(({ minute }) => minute >= warmUp);
  const growth = slope(warm, 'mebibytes');
  const quarter = Math.ceil(warm.length / 4);
  const middle = (part) => median(part.map(({ descriptors }) => descriptors));
  const descriptors = middle(warm.slice(-quarter)) - middle(warm.slice(0, quarter));
  const [before, p99] = [quiet, busy].map((load) => quantile(load.innocent.times, 0.99));
  const most = Math.max(NO_DELAY_MILLISECONDS, before * DELAY_MAX);
  const promises = [
    promise('the host lives', isAlive ? 'yes' : 'no', 'yes', isAlive),
    promise('errors of the innocent', busy.innocent.errors, '0', busy.innocent.errors === 0),
    memory(growth, warm.at(-1).minute - warm[0].minute),
    promise('file descriptors more', short(descriptors), `<= ${DESCRIPTORS_MAX}`, descriptors <= DESCRIPTORS_MAX),
    promise('p99 of the innocent, ms', short(p99), `<= ${short(most)}`, p99 <= most),
  ];
  const { sent, seconds, innocent, guilty } = busy;
  const figures = {
    requests: sent,
    rate: sent / seconds,
    misdeeds: guilty.misdeeds / sent,
    p99: { quiet: before, busy: p99 },
    warmUpMinutes: warmUp,
    mebibytes: { first: samples[0].mebibytes, warm: warm[0].mebibytes, last: samples.at(-1).mebibytes },
    descriptorsPerMinute: slope(warm, 'descriptors'),
  };
  return { promises, figures, statuses: guilty.statuses, faults: innocent.faults, samples };
}

export function table({ promises, figures, statuses, faults }) {
  const { requests, rate, misdeeds, mebibytes, p99, warmUpMinutes } = figures;
  const rows = promises.map(({ what, is, shall, kept }) => `| ${what} | ${is} | ${shall} | ${kept ? 'kept' : 'BROKEN'} |`);
  const share = `${(misdeeds * 100).toFixed(2)} %`;
  const sizes = `${short(mebibytes.first)} at first, ${short(mebibytes.warm)} warm, ${short(mebibytes.last)} at last`;
  return [
    '| promise | is | shall be | |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    `${requests} requests, ${short(rate)} a second, ${share} of them misdeeds; p99 in quiet ${short(p99.quiet)} ms`,
    `memory in MiB: ${sizes}; the slope is that after ${warmUpMinutes.toFixed(1)} minutes`,
    `the guilty service: ${Object.entries(statuses).toSorted().map(([what, count]) => `${what}: ${count}`).join(', ')}`,
    ...faults,
    '',
  ].join('\n');
}

function memory(growth, minutes) {
  const isShort = minutes < SLOPE_MINUTES_MIN;
  const is = isShort ? `${short(growth)}, too short to tell` : short(growth);
  return promise('memory, MiB a minute', is, `< ${MEBIBYTES_PER_MINUTE_MAX}`, isShort || growth < MEBIBYTES_PER_MINUTE_MAX);
}

function promise(what, is, shall, kept) {
  return { what, is, shall, kept };
}

// By least squares, a minute.
function slope(samples, field) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(samples.map(({ minute }) => minute)), mean(samples.map((sample) => sample[field]))];
  const over = samples.map((sample) => (sample.minute - x) * (sample[field] - y)).reduce((sum, value) => sum + value, 0);
  const under = samples.map(({ minute }) => (minute - x) ** 2).reduce((sum, value) => sum + value, 0);
  return under > 0 ? over / under : 0;
}
