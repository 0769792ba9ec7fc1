// Memory and file descriptors of a process, over time.
import { readFileSync, readdirSync } from 'node:fs';

import { residentMebibytes } from '../bench/servers.mjs';

const EVERY_MILLISECONDS = 5_000;

export class Watch {
  constructor(pid) {
    this.pid = pid;
    this.begin = performance.now();
    this.samples = [];
    this.look();
    this.timer = setInterval(() => this.look(), EVERY_MILLISECONDS);
  }

  look() {
    const descriptors = readdirSync(`/proc/${this.pid}/fd`).length;
    const threads = Number(readFileSync(`/proc/${this.pid}/status`, 'utf8').match(/Threads:\s+(\d+)/)[1]);
    const minute = (performance.now() - this.begin) / 60_000;
    this.samples.push({ minute, mebibytes: residentMebibytes({ pid: this.pid }), descriptors, threads });
  }

  now() {
    const { minute, mebibytes, descriptors } = this.samples.at(-1);
    return `minute ${minute.toFixed(1)}: ${mebibytes.toFixed(1)} MiB, ${descriptors} file descriptors`;
  }

  stop() {
    clearInterval(this.timer);
    return this.samples;
  }
}
