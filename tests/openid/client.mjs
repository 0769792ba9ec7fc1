// The identity provider as a client library sees it, and as an attacker does.
//
//   ISSUER=http://127.0.0.1:8080/identity CLIENT_ID=shop CLIENT_SECRET=… REDIRECT_URI=http://127.0.0.1:8080/back \
//   OTHER_CLIENT_ID=phone node client.mjs
//
// The client has all three grants, the scopes openid, profile, email and orders, and POST_LOGOUT_URI (REDIRECT_URI when
// absent) to go to after a sign-out. The other one is public and has the same redirect address.

import * as client from 'openid-client';

import { Browser } from './browser.mjs';
import { check, checkRefused, summary } from './check.mjs';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, OTHER_CLIENT_ID } = process.env;
const POST_LOGOUT_URI = process.env.POST_LOGOUT_URI ?? REDIRECT_URI;
const SCOPE = 'openid profile email orders';
const PASSWORD = 'a few plain words';

const insecure = { execute: [client.allowInsecureRequests] };
const shop = await client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, insecure);
const other = await client.discovery(new URL(ISSUER), OTHER_CLIENT_ID, undefined, client.None(), insecure);

await discovery();
await refusedRequests();
const { browser, email, tokens } = await signUp();
await signUpFirst(browser, email);
await signIn(browser, email);
await forms(email);
await userinfo(tokens);
await codes(browser);
await refreshTokens(browser);
await revocation(browser);
await introspection(browser);
await clientItself();
await clientProof(browser);
await throttling();
await sameTime(email);
await signOut(browser);
await operator();
summary();

async function discovery() {
  const server = shop.serverMetadata();
  check('discovery names the issuer', server.issuer === ISSUER);
  check('discovery offers S256 alone', server.code_challenge_methods_supported.join() === 'S256');
  const response = await fetch(server.jwks_uri);
  const { keys } = await response.json();
  check('the keys are public ES256 keys', keys.length > 0 && keys.every((key) => key.alg === 'ES256' && !key.d), keys);
  check('the keys may be kept', response.headers.get('cache-control') === 'public, max-age=300');
}

/** A new request for an authorization, with all that checks its answer. */
async function request(parameters = {}, config = shop) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: SCOPE,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...parameters,
  });
  for (const [name, value] of Object.entries(parameters)) if (value === undefined) url.searchParams.delete(name);
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  return { url, checks, verifier };
}

/** A code for a browser that is signed in. */
async function code(browser, parameters = {}, config = shop) {
  const asked = await request(parameters, config);
  const page = await browser.get(asked.url);
  check('a browser that is signed in gets a code at once', page.status === 303, page);
  return { ...asked, callback: page.location, code: page.location.searchParams.get('code') };
}

async function exchange({ callback, checks }, config = shop) {
  return client.authorizationCodeGrant(config, callback, checks);
}

/** Shows a code by hand, so that anything about it can be wrong. */
async function redeem(parameters, headers = {}) {
  const response = await fetch(shop.serverMetadata().token_endpoint, {
    method: 'POST',
    headers,
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uri: REDIRECT_URI,
      ...parameters,
    }),
  });
  return { status: response.status, headers: response.headers, ...(await response.json()) };
}

async function refusedRequests() {
  const browser = new Browser();
  const untrusted = {
    'an unknown client': { client_id: 'nobody' },
    'a redirect address of somebody else': { redirect_uri: 'https://evil.example/back' },
    'a redirect address with one more slash': { redirect_uri: `${REDIRECT_URI}/` },
    'no redirect address': { redirect_uri: undefined },
  };
  for (const [what, parameters] of Object.entries(untrusted)) {
    const page = await browser.get((await request(parameters)).url);
    check(`${what} leads nowhere`, page.status === 400 && !page.location, page);
  }
  const refused = {
    'plain PKCE': [{ code_challenge_method: 'plain' }, 'invalid_request'],
    'PKCE without a method, which means plain': [{ code_challenge_method: undefined }, 'invalid_request'],
    'no PKCE': [{ code_challenge: undefined }, 'invalid_request'],
    'the implicit flow': [{ response_type: 'token' }, 'unsupported_response_type'],
    'a scope that the client does not have': [{ scope: 'openid admin' }, 'invalid_scope'],
    'a request object': [{ request: 'e30.e30.' }, 'request_not_supported'],
    'nobody signed in, and nobody to be asked': [{ prompt: 'none' }, 'login_required'],
  };
  for (const [what, [parameters, error]] of Object.entries(refused)) {
    const asked = await request(parameters);
    const { status, location } = await browser.get(asked.url);
    const answer = location?.searchParams;
    const isTold = status === 303 && answer?.get('error') === error && answer.get('iss') === ISSUER;
    check(`${what}: the client is told ${error}`, isTold && answer.get('state') === asked.checks.expectedState, location);
  }
  const twice = (await request()).url;
  twice.searchParams.append('scope', 'openid');
  const { location } = await browser.get(twice);
  check('a repeated parameter is refused', location?.searchParams.get('error') === 'invalid_request', location);
}

async function signUp() {
  const browser = new Browser();
  const email = `ada-${Date.now()}@example.com`;
  const asked = await request();
  const page = await browser.get(asked.url);
  const policy = page.headers.get('content-security-policy');
  check('the page to sign in is shown', page.status === 200 && page.form !== undefined, page);
  check('no page is kept or framed', page.headers.get('cache-control') === 'no-store' && policy.includes("frame-ancestors 'none'"));
  check('no page runs a script', policy.startsWith("default-src 'none'") && !policy.includes('script') && !page.text.includes('<script'));
  const form = await browser.get(page.links[0]);
  const short = await browser.submit(form, { name: 'Ada', email, password: '1234567' });
  check('a short password is refused', short.status === 422 && short.text.includes('8 to 128'), short);
  check('what was typed is shown again, but the password', short.text.includes(email) && !short.text.includes('1234567'));
  const back = await browser.submit(form, { name: 'Ada <b>', email, password: PASSWORD });
  check('a sign-up goes on with a code', back.status === 303 && back.location.searchParams.has('code'), back);
  const cookie = browser.attributes('identity-session');
  check('the session is for the provider alone', ['HttpOnly', 'SameSite=Lax', `Path=${new URL(ISSUER).pathname}`].every((part) => cookie.includes(part)), cookie);
  const tokens = await exchange({ ...asked, callback: back.location });
  const claims = tokens.claims();
  check('the library accepts state, nonce, issuer and ID token', claims.nonce === asked.checks.expectedNonce, claims);
  check('the ID token says who it is', claims.name === 'Ada <b>' && claims.email === email && claims.email_verified === false, claims);
  check('the ID token says when', Math.abs(claims.auth_time - Date.now() / 1000) < 60);
  const again = await browser.get(form.links[0]);
  check('who is signed in is not asked again', again.status === 303, again);
  const eve = new Browser();
  const taken = await eve.submit(await eve.get(page.links[0]), { name: 'Eve', email: email.toUpperCase(), password: PASSWORD });
  check('an e-mail is taken once, whatever its capitals', taken.status === 409 && !taken.location, taken);
  return { browser, email, tokens };
}

/** A client may lead a user to the sign-up at once (Initiating User Registration via OpenID Connect 1.0). */
async function signUpFirst(browser, email) {
  check('discovery offers prompt=create', shop.serverMetadata().prompt_values_supported.includes('create'));
  const asked = await request({ prompt: 'create' });
  const stranger = new Browser();
  const page = await stranger.get(asked.url);
  check('prompt=create shows the page to sign up', page.status === 200 && page.text.includes('autocomplete="new-password"'), page);
  const other = await stranger.get(page.links[0]);
  check('from there one can sign in instead', other.status === 200 && other.text.includes('autocomplete="current-password"'), other);
  const right = await stranger.submit(other, { email, password: PASSWORD });
  check('and goes on', right.status === 303 && (await exchange({ ...asked, callback: right.location })).access_token, right);
  const known = await browser.get((await request({ prompt: 'create' })).url);
  check('who is signed in is shown the page to sign up too', known.status === 200 && known.form.action.includes('/sign-up?'), known);
  const hinted = await stranger.get((await request({ prompt: 'create', login_hint: 'new@example.com' })).url);
  check('the page to sign up knows the hint', hinted.text.includes('value="new@example.com"'), hinted);
  const silent = await browser.get((await request({ prompt: 'create none' })).url);
  check('prompt=none goes with no other', silent.location?.searchParams.get('error') === 'invalid_request', silent);
}

async function signIn(browser, email) {
  const stranger = new Browser();
  const asked = await request();
  const page = await stranger.get(asked.url);
  const wrong = await stranger.submit(page, { email, password: 'wrong password' });
  check('a wrong password is refused', wrong.status === 403 && !wrong.location, wrong);
  const unknown = await stranger.submit(page, { email: 'nobody@example.com', password: 'wrong password' });
  const words = (answer) => answer.text.match(/role="alert">([^<]*)/)[1];
  check('in the same words as an unknown e-mail', words(wrong) === words(unknown), [words(wrong), words(unknown)]);
  const right = await stranger.submit(page, { email: ` ${email.toUpperCase()}`, password: PASSWORD });
  check('the right one signs in', right.status === 303 && (await exchange({ ...asked, callback: right.location })).access_token);
  const forced = await browser.get((await request({ prompt: 'login' })).url);
  check('prompt=login asks again', forced.status === 200 && forced.form);
  const old = await browser.get((await request({ max_age: '0' })).url);
  check('max_age=0 asks again', old.status === 200 && old.form);
  const silent = await browser.get((await request({ prompt: 'none' })).url);
  check('prompt=none goes on for who is signed in', silent.location?.searchParams.has('code'), silent);
  const hinted = await browser.get((await request({ prompt: 'none', id_token_hint: 'e30.e30.e30' })).url);
  check('a wrong hint is nobody', hinted.location?.searchParams.get('error') === 'login_required', hinted);
  const { url } = await request();
  const posted = await browser.post(url.origin + url.pathname, Object.fromEntries(url.searchParams), 'https://shop.example');
  const followed = await browser.get(posted.location);
  check('a client may ask by POST', posted.status === 303 && followed.location?.searchParams.has('code'), posted);
}

async function forms(email) {
  const credentials = { email, password: PASSWORD };
  const browser = new Browser();
  const page = await browser.get((await request()).url);
  const isRefused = (answer) => answer.status === 403 && !answer.location;
  check('a form from another site is refused', isRefused(await browser.submit(page, credentials, 'https://evil.example')));
  check('a form from nowhere is refused', isRefused(await browser.submit(page, credentials, null)));
  check('a form without its token is refused', isRefused(await browser.post(page.form.action, credentials)));
  check('a form of another browser is refused', isRefused(await new Browser().submit(page, credentials)));
  const elsewhere = (await request()).url;
  const moved = { form: { action: elsewhere.href, hidden: page.form.hidden } };
  check('a token of another request is refused', isRefused(await browser.submit(moved, credentials)));
  const answer = await browser.submit(page, credentials);
  check('the form itself is accepted', answer.status === 303, answer);
}

async function userinfo(tokens) {
  const { sub } = tokens.claims();
  const info = await client.fetchUserInfo(shop, tokens.access_token, sub);
  check('userinfo says who it is', info.sub === sub && info.name === 'Ada <b>' && info.email_verified === false, info);
  const endpoint = shop.serverMetadata().userinfo_endpoint;
  const ask = async (authorization) => fetch(endpoint, { headers: authorization ? { authorization } : {} });
  const none = await ask();
  check('userinfo without a token is 401', none.status === 401 && none.headers.get('www-authenticate').startsWith('Bearer'));
  const [header, payload, signature] = tokens.access_token.split('.');
  const forgeries = {
    'an ID token': tokens.id_token,
    'a changed token': [header, `${payload}A`, signature].join('.'),
    'a token without a signature': [Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url'), payload, ''].join('.'),
  };
  for (const [what, token] of Object.entries(forgeries)) {
    const answer = await ask(`Bearer ${token}`);
    check(`userinfo refuses ${what}`, answer.status === 401 && answer.headers.get('www-authenticate').includes('invalid_token'));
  }
}

async function codes(browser) {
  const ours = await code(browser);
  const stolen = await redeem({ code: ours.code, code_verifier: ours.verifier, client_id: OTHER_CLIENT_ID, client_secret: '' });
  check('a code counts for its own client only', stolen.error === 'invalid_grant', stolen);
  const wrong = await redeem({ code: ours.code, code_verifier: client.randomPKCECodeVerifier() });
  check('a wrong verifier is refused', wrong.error === 'invalid_grant', wrong);
  const challenge = await client.calculatePKCECodeChallenge(ours.verifier);
  const plain = await redeem({ code: ours.code, code_verifier: challenge });
  check('the challenge is no verifier', plain.error === 'invalid_grant', plain);
  const without = await redeem({ code: ours.code });
  check('no verifier is refused', without.error === 'invalid_grant', without);
  const changed = await redeem({ code: ours.code, code_verifier: ours.verifier, redirect_uri: `${REDIRECT_URI}/` });
  check('a changed redirect address is refused', changed.error === 'invalid_grant', changed);
  check('no refusal is kept', changed.headers.get('cache-control') === 'no-store' && changed.status === 400);
  const first = await redeem({ code: ours.code, code_verifier: ours.verifier });
  check('after all that it still counts', first.status === 200 && first.token_type === 'Bearer', first);
  check('no token is kept', first.headers.get('cache-control') === 'no-store' && first.headers.get('pragma') === 'no-cache');
  const second = await redeem({ code: ours.code, code_verifier: ours.verifier });
  check('a second use is refused', second.error === 'invalid_grant', second);
  await checkRefused('and takes back the refresh token', 'invalid_grant', () => client.refreshTokenGrant(shop, first.refresh_token));
  const info = await fetch(shop.serverMetadata().userinfo_endpoint, { headers: { authorization: `Bearer ${first.access_token}` } });
  check('and the access token', info.status === 401);

  const raced = await code(browser);
  const show = () => redeem({ code: raced.code, code_verifier: raced.verifier });
  const all = await Promise.all(Array.from({ length: 8 }, show));
  check('of eight at once one gets tokens', all.filter((answer) => answer.status === 200).length === 1, all.map((answer) => answer.status));

  const twice = await fetch(shop.serverMetadata().token_endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'grant_type=authorization_code&grant_type=refresh_token',
  });
  check('a repeated parameter of a form is refused', (await twice.json()).error === 'invalid_request');
  const json = await redeem({}, { 'content-type': 'application/json' });
  check('what is no form is refused', json.error === 'invalid_request', json);
}

async function refreshTokens(browser) {
  const first = await exchange(await code(browser));
  const second = await client.refreshTokenGrant(shop, first.refresh_token);
  check('a refresh token gives the next one', second.refresh_token && second.refresh_token !== first.refresh_token);
  check('and an ID token of the same sign-in, without the nonce', second.claims().auth_time === first.claims().auth_time && !second.claims().nonce);
  const less = await client.refreshTokenGrant(shop, second.refresh_token, { scope: 'orders' });
  check('a client may ask for less', less.scope === 'orders' && !less.id_token, less);
  await checkRefused('but not for more', 'invalid_scope', () => client.refreshTokenGrant(shop, less.refresh_token, { scope: 'admin' }));
  await checkRefused('another client is refused', 'unauthorized_client', () => client.refreshTokenGrant(other, less.refresh_token));
  const third = await client.refreshTokenGrant(shop, less.refresh_token);
  check('after all that it still counts', third.access_token);
  await checkRefused('an old refresh token is refused', 'invalid_grant', () => client.refreshTokenGrant(shop, second.refresh_token));
  await checkRefused('and ends its family', 'invalid_grant', () => client.refreshTokenGrant(shop, third.refresh_token));
  await checkRefused('nonsense is refused', 'invalid_grant', () => client.refreshTokenGrant(shop, 'nonsense'));

  const raced = await exchange(await code(browser));
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => client.refreshTokenGrant(shop, raced.refresh_token)));
  check('of eight at once one gets tokens', all.filter((answer) => answer.status === 'fulfilled').length === 1);
}

async function revocation(browser) {
  const tokens = await exchange(await code(browser));
  const refused = () => client.tokenRevocation(other, tokens.refresh_token);
  await checkRefused('a token of another client is not taken back', 'invalid_request', refused);
  await client.tokenRevocation(shop, tokens.refresh_token);
  await checkRefused('a token that was taken back is refused', 'invalid_grant', () => client.refreshTokenGrant(shop, tokens.refresh_token));
  await client.tokenRevocation(shop, 'nonsense');
  check('nonsense is taken back without an error', true);
  const more = await exchange(await code(browser));
  await client.tokenRevocation(shop, more.access_token);
  await checkRefused('with an access token its grant ends', 'invalid_grant', () => client.refreshTokenGrant(shop, more.refresh_token));
}

async function introspection(browser) {
  const tokens = await exchange(await code(browser));
  const access = await client.tokenIntrospection(shop, tokens.access_token);
  check('an access token is described', access.active && access.client_id === CLIENT_ID && access.scope === SCOPE, access);
  const refresh = await client.tokenIntrospection(shop, tokens.refresh_token);
  check('a refresh token is described', refresh.active && refresh.sub === access.sub, refresh);
  const nonsense = await client.tokenIntrospection(shop, 'nonsense');
  check('nonsense is not active', nonsense.active === false && Object.keys(nonsense).length === 1, nonsense);
  await client.tokenRevocation(shop, tokens.refresh_token);
  const after = await client.tokenIntrospection(shop, tokens.access_token);
  check('after a revocation it is not active', after.active === false && Object.keys(after).length === 1, after);
  await checkRefused('a client without a secret may not ask', 'unauthorized_client', () => client.tokenIntrospection(other, tokens.access_token));
}

async function clientItself() {
  const tokens = await client.clientCredentialsGrant(shop, { scope: 'orders' });
  const [header, payload] = tokens.access_token.split('.').map((part) => part && JSON.parse(safe(part)));
  check('a client gets a token for itself', payload.sub === CLIENT_ID && payload.scope === 'orders' && !tokens.refresh_token, payload);
  check('in the form of RFC 9068', header.typ === 'at+jwt' && header.alg === 'ES256' && header.kid && payload.jti && payload.aud, header);
  check('that lasts some minutes', payload.exp - payload.iat === tokens.expires_in && tokens.expires_in <= 3600);
  await checkRefused('but not for a user', 'invalid_scope', () => client.clientCredentialsGrant(shop, { scope: 'openid' }));
  await checkRefused('a client without a secret gets none', 'unauthorized_client', () => client.clientCredentialsGrant(other));
}

function safe(part) {
  const text = Buffer.from(part, 'base64url').toString();
  return text.startsWith('{') ? text : '{}';
}

async function clientProof(browser) {
  const basic = (id, secret) => ({ authorization: `Basic ${Buffer.from(`${id}:${encodeURIComponent(secret)}`).toString('base64')}` });
  const ours = await code(browser);
  const wrong = await redeem({ code: ours.code, code_verifier: ours.verifier, client_secret: 'x'.repeat(40) });
  check('a wrong secret is refused', wrong.status === 401 && wrong.error === 'invalid_client', wrong);
  check('and says how to do it right', wrong.headers.get('www-authenticate').startsWith('Basic '));
  const none = await redeem({ code: ours.code, code_verifier: ours.verifier, client_secret: '' });
  check('no secret is refused', none.status === 401, none);
  const both = await redeem({ code: ours.code, code_verifier: ours.verifier }, basic(CLIENT_ID, CLIENT_SECRET));
  check('two proofs at once are refused', both.error === 'invalid_request', both);
  const right = await redeem({ code: ours.code, code_verifier: ours.verifier, client_secret: '' }, basic(CLIENT_ID, CLIENT_SECRET));
  check('the header is a proof', right.status === 200, right);
  const phone = await code(browser, { scope: 'openid' }, other);
  const tokens = await exchange(phone, other);
  check('a client without a secret relies on PKCE', tokens.claims().aud === OTHER_CLIENT_ID && !tokens.refresh_token, tokens);
}

async function throttling() {
  const email = `target-${Date.now()}@example.com`;
  const browsers = [];
  for (let number = 0; number < 7; number += 1) browsers.push(new Browser());
  const { url } = await request();
  let answer;
  for (const browser of browsers) answer = await browser.submit(await browser.get(url), { email, password: 'wrong password' });
  const wait = Number(answer.headers.get('retry-after'));
  check('after too many tries an account must wait, from any address', answer.status === 429 && wait >= 1, answer);
  await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  const later = await browsers[0].submit(await browsers[0].get(url), { email, password: 'wrong password' });
  check('then there is another try', later.status === 403, later);
}

async function sameTime(email) {
  const { url } = await request();
  const time = async (address) => {
    const browser = new Browser();
    return (await browser.submit(await browser.get(url), { email: address, password: 'wrong password' })).time;
  };
  const wrong = [];
  const unknown = [];
  for (let number = 0; number < 4; number += 1) {
    wrong.push(await time(email));
    unknown.push(await time(`nobody-${number}-${Date.now()}@example.com`));
  }
  // Other tests run beside this one, so it only finds a hash that is left out, which takes a tenth of the time.
  const ratio = Math.min(...wrong) / Math.min(...unknown);
  check('an unknown e-mail is hashed as a wrong password is', ratio > 0.3 && ratio < 3, { wrong, unknown });
}

async function signOut(browser) {
  const { id_token: hint } = await exchange(await code(browser));
  const url = (parameters) => client.buildEndSessionUrl(shop, { post_logout_redirect_uri: POST_LOGOUT_URI, ...parameters });
  const strange = await browser.get(url({ id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example/' }));
  check('a sign-out leads nowhere strange', strange.status === 400 && !strange.location, strange);
  const asked = await browser.get(url({ state: 's1' }));
  check('a sign-out without an ID token asks', asked.status === 200 && asked.form, asked);
  check('and no other site may answer', (await browser.submit(asked, {}, 'https://evil.example')).form);
  const still = await browser.get((await request({ prompt: 'none' })).url);
  check('the user is still signed in', still.location.searchParams.has('code'));
  const left = await browser.get(url({ id_token_hint: hint, state: 's1' }));
  check('with one it does not', left.status === 303 && left.location.searchParams.get('state') === 's1', left);
  check('the session is gone', !browser.cookie('identity-session'));
  const after = await browser.get((await request({ prompt: 'none' })).url);
  check('and nobody is signed in', after.location.searchParams.get('error') === 'login_required');
}

async function operator() {
  const response = await fetch(`${ISSUER}/operator-token`, { method: 'POST', headers: { 'hostel-service': 'hostel' }, body: '{}' });
  check('nobody outside gets an operator token', response.status === 404, response.status);
}
