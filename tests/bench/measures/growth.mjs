// How the host grows: with services, routes, connections, bodies, and requests in flight.
import { bodies } from '../growth/bodies.mjs';
import { connections } from '../growth/connections.mjs';
import { flights } from '../growth/flights.mjs';
import { routes } from '../growth/routes.mjs';
import { services } from '../growth/services.mjs';
import { stopAll } from '../servers.mjs';

const KINDS = { services, routes, connections, bodies, flights };

export async function growth(options) {
  const results = [];
  for (const [name, kind] of Object.entries(KINDS)) {
    process.stderr.write(`  ${name}\n`);
    results.push(...(await kind(options)));
    await stopAll();
  }
  return results;
}
