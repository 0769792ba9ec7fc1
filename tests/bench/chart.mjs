// One result as a small SVG of horizontal bars, readable on light and dark pages.
import { short } from './numbers.mjs';

// Pixels: of the whole, of the names left and the values right of the bars, and of a line and the title in height.
const WIDTH = 640;
const LABEL = 190;
const VALUE = 90;
const LINE = 26;
const HEAD = 44;

export function chart({ title, bars, barsUnit, unit, value, target }) {
  const most = Math.max(...bars.map((bar) => bar.value), Number.MIN_VALUE);
  const scale = (WIDTH - LABEL - VALUE) / most;
  const height = HEAD + bars.length * LINE + 8;
  const result = unit ? `; ${short(value)} ${unit}, wanted ${target.text}` : '';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escape(title)}</title>
<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .small { font-size: 11px; fill: #59636e }
  rect { fill: #8c959f }
  .own { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    rect { fill: #656c76 }
    .own { fill: #4493f8 }
  }
</style>
<text x="0" y="14" class="title">${escape(title)}</text>
<text x="0" y="31" class="small">${escape(barsUnit + result)}</text>
${bars.map((bar, index) => line(bar, HEAD + index * LINE, scale)).join('\n')}
</svg>
`;
}

function line({ name, value, own }, top, scale) {
  const width = Math.max(1, value * scale);
  return `<text x="${LABEL - 8}" y="${top + 15}" text-anchor="end">${escape(name)}</text>
<rect x="${LABEL}" y="${top + 3}" width="${width.toFixed(1)}" height="16"${own ? ' class="own"' : ''}/>
<text x="${(LABEL + width + 6).toFixed(1)}" y="${top + 15}">${short(value)}</text>`;
}

function escape(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
