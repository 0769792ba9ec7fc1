// Requests at a steady rate, each on its way whether or not the one before has ended.
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

// Of a hundred well-behaved requests to a service.
const MIX = [
  [40, (service) => ({ path: `/${service}/ok`, good: ({ text }) => JSON.parse(text).service === service })],
  [25, (service) => echo(service)],
  [15, () => ({ path: '/files/page.html', good: ({ text }) => text.length === 60_000 })],
  [15, (service) => ({ path: `/${service}/sibling?name=called&path=ok`, good: ({ text }) => JSON.parse(text).done === 200 })],
  [5, (service) => ({ path: `/${service}/publish?topic=probe.work&body=done`, good: ({ text }) => 'done' in JSON.parse(text) })],
];
// One of so many requests to the guilty one is a misdeed. It gets half of all: so 1 % of all are.
const MISDEED_EVERY = 50;
const MISDEEDS = ['trap', 'loop', 'allocate', 'late-trap', 'print?lines=2000'];
const BODY_BYTES_MAX = 128 * 1024;
const TIME_MAX_MILLISECONDS = 20_000;
const FAULTS_SHOWN = 10;

export class Load {
  constructor(url, { rate, misbehaves }) {
    Object.assign(this, { url, rate, misbehaves });
    this.agent = new Agent({ keepAlive: true, maxSockets: 128 });
    // Cut responses must not disturb who shares the connection: the client's own trouble, not the host's.
    this.guiltyAgent = new Agent({ keepAlive: true, maxSockets: 128 });
    this.innocent = { times: [], errors: 0, faults: [] };
    this.guilty = { statuses: {}, misdeeds: 0 };
    this.sent = 0;
    this.underWay = new Set();
  }

  async run(seconds) {
    const begin = performance.now();
    while (performance.now() - begin < seconds * 1000) {
      // Late timers are made up for, so that the rate is what it says.
      const due = Math.floor(((performance.now() - begin) / 1000) * this.rate);
      for (; this.sent < due; this.sent += 1) this.send();
      await pause(5);
    }
    await Promise.all(this.underWay);
    this.agent.destroy();
    this.guiltyAgent.destroy();
    const { innocent, guilty, sent } = this;
    return { sent, seconds: (performance.now() - begin) / 1000, innocent, guilty };
  }

  now() {
    return `${this.sent} requests, ${this.innocent.errors} errors of the innocent`;
  }

  send() {
    const isInnocent = !this.misbehaves || this.sent % 2 === 0;
    const one = isInnocent ? this.askInnocent() : this.askGuilty();
    this.underWay.add(one);
    one.finally(() => this.underWay.delete(one));
  }

  async askInnocent() {
    const asked = { ...choose()('innocent'), agent: this.agent };
    const begin = performance.now();
    let fault = null;
    try {
      const answer = await ask(this.url, asked);
      if (answer.status !== 200 || !asked.good(answer)) fault = `${answer.status} ${answer.text.slice(0, 200)}`;
    } catch (error) {
      fault = String(error);
    }
    this.innocent.times.push(performance.now() - begin);
    if (!fault) return;
    this.innocent.errors += 1;
    const fits = this.innocent.faults.length < FAULTS_SHOWN;
    if (fits) this.innocent.faults.push(`${new Date().toISOString()} ${asked.path}: ${fault}`);
  }

  async askGuilty() {
    const turn = (this.sent - 1) / 2;
    const isMisdeed = turn % MISDEED_EVERY === 0;
    const misdeed = MISDEEDS[(turn / MISDEED_EVERY) % MISDEEDS.length];
    const asked = isMisdeed ? { path: `/guilty/${misdeed}` } : choose()('guilty');
    const status = await ask(this.url, { ...asked, agent: this.guiltyAgent }).then(({ status }) => status, () => 'cut');
    const key = isMisdeed ? `${misdeed} ${status}` : `well ${status}`;
    this.guilty.misdeeds += Number(isMisdeed);
    this.guilty.statuses[key] = (this.guilty.statuses[key] ?? 0) + 1;
  }
}

function choose() {
  let left = Math.random() * MIX.reduce((sum, [weight]) => sum + weight, 0);
  return MIX.find(([weight]) => (left -= weight) < 0)?.[1] ?? MIX[0][1];
}

function echo(service) {
  const body = randomBytes(1 + Math.floor(Math.random() * BODY_BYTES_MAX));
  return { path: `/${service}/echo`, body, good: ({ bytes }) => bytes.equals(body) };
}

function ask(url, { path, body, agent }) {
  return new Promise((done, failed) => {
    const sent = request(url + path, { agent, method: body ? 'POST' : 'GET', timeout: TIME_MAX_MILLISECONDS }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.once('error', failed);
      response.once('end', () => {
        const bytes = Buffer.concat(chunks);
        done({ status: response.statusCode, bytes, get text() { return bytes.toString(); } });
      });
    });
    sent.once('error', failed);
    sent.once('timeout', () => sent.destroy(new Error(`no answer in ${TIME_MAX_MILLISECONDS} ms`)));
    sent.end(body);
  });
}
