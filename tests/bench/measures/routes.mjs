// What a request costs beside many other routes. Requests go to all routes in turn, so that no path stays in the caches
// of the processor, and are redirected by the gateway: no component hides the cost of finding the route.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { route, startHost } from '../host.mjs';
import { atMost, NONE, ratio, value } from '../results.mjs';
import { rounds } from '../rounds.mjs';
import { folder } from '../scratch.mjs';

const CONNECTIONS = 64;
const FEW = 10;
const MANY = 10_000;

export async function routes(options) {
  const few = await contestant(FEW);
  const many = await contestant(MANY);
  const figures = await rounds([few, many], options);
  const more = figures[many.name].map((figure, round) => figure.cpu - figures[few.name][round].cpu);
  return [
    ratio('CPU with 10,000 routes ÷ 10 routes', figures, many.name, few.name, 'cpu', atMost(1.5)),
    value('CPU that 9,990 more routes add', more, 'µs', NONE),
  ];
}

// A host of so many routes, and the requests to all of them.
export async function contestant(count) {
  const home = folder(`routes-${count}`);
  const numbers = Array.from({ length: count }, (_, index) => index);
  const pattern = (index) => `/area${index % 100}/things${index}`;
  const redirects = numbers.map((index) => route(`${pattern(index)}/{id}`, 'redirect = { to = "/elsewhere" }'));
  const server = await startHost(home, redirects.join(''));
  const script = join(home, 'requests.lua');
  writeFileSync(script, `local requests = {}
function init()
  for index = 0, ${count - 1} do
    requests[index] = wrk.format("GET", string.format("/area%d/things%d/1", index % 100, index))
  end
end
local last = 0
function request()
  last = (last + 1) % ${count}
  return requests[last]
end
`);
  return { name: `Hostel, ${count.toLocaleString('en')} routes`, server, script, connections: CONNECTIONS };
}
