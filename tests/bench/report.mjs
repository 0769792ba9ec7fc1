// The report as Markdown: the machine, the table of measures, the tables of growth.
import { short } from './numbers.mjs';
import { slug } from './results.mjs';

export function markdown(report) {
  const measures = report.results.filter((result) => !result.lines);
  const grown = report.results.filter((result) => result.lines);
  return [heading(report), measures.length > 0 ? measured(measures) : '', ...grown.map(growth)].filter(Boolean).join('\n');
}

function heading({ date, commit, cpu, cores, kernel, versions, rounds, seconds }) {
  const peers = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ');
  return `# Measured side by side

${date}, commit ${commit}; ${cores} × ${cpu}, Linux ${kernel}; ${rounds} rounds of ${seconds} s.
${peers}.
`;
}

function measured(results) {
  const lines = results.map(({ title, missing, target, unit, value, min, max, met }) => {
    const figure = missing ?? `${amount(value, unit)} (${short(min)}–${short(max)})`;
    const verdict = missing || met === null ? '–' : met ? 'yes' : '**no**';
    return [missing ? title : `[${title}](${slug(title)}.svg)`, figure, target.text, verdict];
  });
  return table(['measure', 'ratio or value (min–max)', 'target', 'met'], lines);
}

function growth({ title, columns, lines }) {
  const cell = (value) => (typeof value === 'number' ? short(value) : value);
  return `## ${title}\n\n${table(columns, lines.map((line) => line.map(cell)))}`;
}

function amount(value, unit) {
  return unit === '×' ? `${short(value)} ×` : `${short(value)} ${unit}`;
}

function table(columns, lines) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...lines.map(line), ''].join('\n');
}
