// Static files, beside nginx.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { route, startHost } from '../host.mjs';
import { startNginx } from '../peers.mjs';
import { startAll } from '../rounds.mjs';
import { folder } from '../scratch.mjs';
import { SIZES, besideNginx } from './sizes.mjs';

export async function files(options) {
  const site = folder('site');
  for (const { bytes } of SIZES) writeFileSync(join(site, `${bytes}.html`), 'x'.repeat(bytes));
  const servers = await startAll({
    hostel: () => startHost(folder('files'), route('/{*rest}', `files = ${JSON.stringify(site)}`)),
    nginx: () => startNginx('nginx-files', { workers: 'auto', server: `root ${site};` }),
  });
  return besideNginx('a file', servers, (bytes) => `/${bytes}.html`, options);
}
