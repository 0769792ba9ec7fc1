// The folder of one run for what servers read and write; removed at its end.
import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const scratch = mkdtempSync(join(tmpdir(), 'hostel-bench-'));
// Workers of nginx are somebody else where root starts it.
chmodSync(scratch, 0o755);

export function folder(name) {
  const path = join(scratch, name);
  mkdirSync(path, { recursive: true });
  return path;
}
