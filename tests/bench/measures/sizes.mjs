// Hostel beside nginx with the bodies of a few sizes.
import { atLeast, ratio } from '../results.mjs';
import { rounds } from '../rounds.mjs';

const CONNECTIONS = 64;
const KIBIBYTES = [1, 16, 64];

export const SIZES = KIBIBYTES.map((kibibytes) => ({ kibibytes, bytes: kibibytes * 1024 }));

// `hostel` and `nginx` are servers, `path` gives the path of a size.
export async function besideNginx(title, { hostel, nginx }, path, options) {
  const contestants = SIZES.flatMap(({ kibibytes, bytes }) => [
    { name: `Hostel, ${kibibytes} KiB`, server: hostel, path: path(bytes), connections: CONNECTIONS },
    { name: `nginx, ${kibibytes} KiB`, server: nginx, path: path(bytes), connections: CONNECTIONS },
  ]);
  const figures = await rounds(contestants, options);
  return SIZES.map(({ kibibytes }) => (
    ratio(`${title} of ${kibibytes} KiB ÷ nginx`, figures, `Hostel, ${kibibytes} KiB`, `nginx, ${kibibytes} KiB`, 'rate', atLeast(1))
  ));
}
