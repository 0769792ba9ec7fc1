// Contestants in turn, round after round, so that noise of the machine meets all alike.
import { load } from './load.mjs';
import { Missing } from './places.mjs';

// The least that wrk can do; instances, pools and caches are filled by then.
const WARM_UP_SECONDS = 1;

// Starts what is named, each with those before it; of what can not be started the reason stands in its place.
export async function startAll(starters) {
  const servers = {};
  for (const [name, starter] of Object.entries(starters)) {
    try {
      servers[name] = await starter(servers);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      process.stderr.write(`  ${name} is left out: ${error.message}\n`);
      servers[name] = absent(error.message);
    }
  }
  return servers;
}

// Whoever needs its address is absent too.
function absent(missing) {
  return { missing, get url() { throw new Missing(missing); } };
}

// The figures of every contestant by its name: one for each round, or why there are none.
export async function rounds(contestants, { rounds: count, seconds }) {
  const figures = Object.fromEntries(contestants.map(({ name, server }) => [name, server.missing ? { missing: server.missing } : []]));
  const present = contestants.filter(({ server }) => !server.missing);
  for (const contestant of present) await load(contestant, WARM_UP_SECONDS);
  for (let round = 1; round <= count; round += 1) {
    process.stderr.write(`  round ${round} of ${count}\n`);
    for (const contestant of present) figures[contestant.name].push(await load(contestant, seconds));
  }
  return figures;
}
