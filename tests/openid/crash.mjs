// Kills the host with -9 in the middle of sign-ups and refreshes, again and again. After each start no account is half
// made, and no acknowledged token is lost.
//
//   HOSTEL=target/debug/hostel CONFIG=gateway.toml ROUNDS=10 ISSUER=… CLIENT_ID=… CLIENT_SECRET=… REDIRECT_URI=… node crash.mjs
//
// The gateway must trust this machine as a proxy, so that each browser has an address of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as client from 'openid-client';

import { Browser } from './browser.mjs';
import { check, summary } from './check.mjs';
import { configure, signIn, signUp } from './user.mjs';

const { HOSTEL, CONFIG, ISSUER } = process.env;
const ROUNDS = Number(process.env.ROUNDS ?? 10);
const WORKERS = 3;

let host = await start();
const shop = await configure();
for (let round = 1; round <= ROUNDS; round += 1) {
  const state = { acknowledged: [], unknown: [], families: [] };
  let running = true;
  const work = Array.from({ length: WORKERS }, (_, worker) => [
    until(() => running, (number) => register(state, `crash-${Date.now()}-${worker}-${number}@example.com`)),
    until(() => running, () => renew(state)),
  ]);
  await sleep(700 + Math.random() * 800);
  running = false;
  host.kill('SIGKILL');
  await once(host, 'exit');
  await Promise.all(work.flat());
  host = await start();
  await audit(round, state);
}
host.kill('SIGTERM');
summary();

async function start() {
  const child = spawn(HOSTEL, ['--config', CONFIG, 'up'], { stdio: 'ignore' });
  for (let tries = 0; tries < 300; tries += 1) {
    if (await fetch(`${ISSUER}/jwks`).then((answer) => answer.ok, () => false)) return child;
    await sleep(100);
  }
  child.kill();
  throw new Error('the host does not start');
}

async function until(goesOn, step) {
  for (let number = 0; goesOn(); number += 1) await step(number).catch(() => {});
}

async function register(state, email) {
  state.unknown.push(email);
  const tokens = await signUp(shop, new Browser(), email);
  state.unknown.splice(state.unknown.indexOf(email), 1);
  state.acknowledged.push(email);
  state.families.push({ latest: tokens.refresh_token, inFlight: false });
}

async function renew(state) {
  const family = state.families.find((family) => !family.inFlight);
  if (!family) return sleep(5);
  family.inFlight = true;
  family.latest = (await client.refreshTokenGrant(shop, family.latest)).refresh_token;
  family.inFlight = false;
}

async function audit(round, { acknowledged, unknown, families }) {
  for (const email of acknowledged) await signIn(shop, new Browser(), email);
  let made = 0;
  for (const email of unknown) {
    const again = await signUp(shop, new Browser(), email);
    if (again === 'taken') {
      await signIn(shop, new Browser(), email);
      made += 1;
    }
  }
  for (const family of families.filter((family) => !family.inFlight)) await client.refreshTokenGrant(shop, family.latest);
  let spent = 0;
  for (const family of families.filter((family) => family.inFlight)) {
    await client.refreshTokenGrant(shop, family.latest).catch((error) => {
      check('a refresh that was under way has happened or not', error.error === 'invalid_grant', error);
      spent += 1;
    });
  }
  const cut = `${unknown.length} sign-ups and ${families.filter((family) => family.inFlight).length} refreshes cut off`;
  check(`round ${round}: ${acknowledged.length} accounts whole; ${cut}, of them ${made} and ${spent} done`, true);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
