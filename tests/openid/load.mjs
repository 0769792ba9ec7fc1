// A steady load of a client that signs in, refreshes and checks what it gets; fails at the first request that fails.
//
//   SECONDS=60 ISSUER=… CLIENT_ID=… CLIENT_SECRET=… REDIRECT_URI=… PROTECTED=http://127.0.0.1:8080/api/… node load.mjs
//
// PROTECTED is an address that the gateway gives to tokens of this issuer only. While this runs, keys may be rotated.

import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as client from 'openid-client';

import { Browser } from './browser.mjs';
import { check, summary } from './check.mjs';
import { configure, signUp } from './user.mjs';

const { ISSUER, PROTECTED } = process.env;
const end = Date.now() + 1000 * Number(process.env.SECONDS ?? 30);
const shop = await configure();
const keys = createRemoteJWKSet(new URL(shop.serverMetadata().jwks_uri), { cacheMaxAge: 5000, cooldownDuration: 1000 });
const signedBy = new Map();
let requests = 0;

try {
  await Promise.all([1, 2, 3, 4].map(worker));
} catch (error) {
  check(`request ${requests} is answered`, false, error);
}
check(`${requests} requests were answered`, requests > 0);
console.log(`${signedBy.size} keys signed:`, Object.fromEntries(signedBy));
summary();

async function worker(number) {
  const browser = new Browser();
  const first = await signUp(shop, browser, `load-${number}-${Date.now()}@example.com`);
  let tokens = first;
  while (Date.now() < end) {
    tokens = await client.refreshTokenGrant(shop, tokens.refresh_token);
    await verify(tokens.access_token);
    await client.fetchUserInfo(shop, tokens.access_token, first.claims().sub);
    const own = await client.clientCredentialsGrant(shop, { scope: 'orders' });
    await verify(own.access_token);
    requests += 4;
  }
}

/** By the published keys, and by the gateway when there is something to ask it for. */
async function verify(token) {
  const { protectedHeader } = await jwtVerify(token, keys, { issuer: ISSUER, typ: 'at+jwt' });
  signedBy.set(protectedHeader.kid, (signedBy.get(protectedHeader.kid) ?? 0) + 1);
  if (!PROTECTED) return;
  const response = await fetch(PROTECTED, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`the gateway answered ${response.status}: ${await response.text()}`);
  await response.text();
  requests += 1;
}
