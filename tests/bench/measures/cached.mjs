// Responses of an axum server that are kept, beside nginx with its proxy_cache.
import { route, startHost } from '../host.mjs';
import { startNative, startNginx } from '../peers.mjs';
import { startAll } from '../rounds.mjs';
import { folder } from '../scratch.mjs';
import { besideNginx } from './sizes.mjs';

export async function cached(options) {
  const servers = await startAll({
    axum: () => startNative('axum'),
    hostel: ({ axum }) => startHostel(axum),
    nginx: ({ axum }) => startCaching(axum),
  });
  return besideNginx('a kept response', servers, (bytes) => `/bytes/${bytes}`, options);
}

function startHostel({ url }) {
  const legacy = `[services.legacy]\nupstreams = ["${url}"]\n`;
  return startHost(folder('cached'), legacy + route('/bytes/{*rest}', 'service = "legacy"\ncache = { default-time = "1h" }'));
}

function startCaching({ url }) {
  const store = folder('nginx-store');
  return startNginx('nginx-cache', {
    workers: 'auto',
    http: `proxy_cache_path ${store} levels=1:2 keys_zone=kept:10m;`,
    server: `location / { proxy_pass ${url}; proxy_cache kept; proxy_cache_valid 200 1h; }`,
  });
}
