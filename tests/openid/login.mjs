// Browser login at the gateway, as a browser and an attacker see it.
//
//   GATEWAY=http://127.0.0.1:8080 KIND=hostel|oidc node login.mjs
//   GATEWAY=… JAR=FILE node login.mjs signed-in|signed-out     looks again, with the cookies of an earlier run
//
// /echo of the gateway asks for a session and tells what its service sees; /scoped wants the scope `email`, /denied one
// that nobody has. KIND is whose pages people sign in at. JAR is where the cookies are left.

import { readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';

import { Browser } from './browser.mjs';
import { check, summary } from './check.mjs';

const { GATEWAY, KIND, JAR } = process.env;
const SESSION = 'hostel-session';
const PENDING = 'hostel-login-';
const PASSWORD = 'a few plain words';
const TOKEN_LIFE_MS = 1100;
const people = { count: 0 };

if (process.argv[2]) {
  await lookAgain(process.argv[2] === 'signed-in');
} else {
  await strangers();
  const { browser, cookie } = await signsIn();
  await counts(browser);
  await otherSites(browser);
  await planted(cookie);
  await brokenReturns();
  await tabs();
  await rotates();
  await signsOut();
  if (JAR) await leavesCookies();
}
summary();

async function strangers() {
  const nobody = new Browser();
  const told = await nobody.get(`${GATEWAY}/session`);
  check('nobody is signed in', told.text === '{"signed_in":false}', told.text);
  check('what is told of it is kept nowhere', told.headers.get('cache-control') === 'no-store');
  check('a program is refused', (await nobody.get(`${GATEWAY}/echo?x=1`)).status === 401);
  const person = await raw('/echo?x=1', { 'sec-fetch-mode': 'navigate' });
  check('a person is sent to sign in', person.status === 302 && person.headers.location === '/session/login?to=%2Fecho%3Fx%3D1', person.headers);
  for (const to of ['//evil.example', 'https://evil.example', '/\\evil.example', 'orders', '']) {
    const refused = await nobody.get(`${GATEWAY}/session/login?to=${encodeURIComponent(to)}`);
    check(`nobody is sent on to ${JSON.stringify(to)}`, refused.status === 400, refused);
  }
  check('signing out by a link is not possible', (await nobody.get(`${GATEWAY}/session/logout`)).status === 405);
}

async function signsIn() {
  const browser = new Browser();
  const asked = await begin(browser, '/echo?x=1');
  const query = asked.searchParams;
  check('the code is asked for with PKCE', query.get('code_challenge_method') === 'S256' && query.get('code_challenge').length === 43);
  check('state and nonce go along', query.get('state').length === 43 && query.get('nonce').length === 43);
  check('two logins have nothing in common', (await begin(new Browser(), '/')).searchParams.get('state') !== query.get('state'));
  const back = await atTheProvider(browser, asked);
  check('the browser comes back to the gateway', back.href.startsWith(`${GATEWAY}/session/callback?`), back);
  const landed = await browser.get(back);
  check('and goes on to where it was', landed.status === 303 && landed.location.href === `${GATEWAY}/echo?x=1`, landed);
  const attributes = browser.attributes(SESSION);
  check('the session is out of reach of scripts and other sites', ['HttpOnly', 'SameSite=Lax', 'Path=/'].every((one) => attributes.includes(one)), attributes);
  check('what was needed on the way is forgotten', !browser.names.some((name) => name.startsWith(PENDING)));
  return { browser, cookie: browser.cookie(SESSION) };
}

async function counts(browser) {
  const told = JSON.parse((await browser.get(`${GATEWAY}/session`)).text);
  check('the page may know who is signed in', told.signed_in && told.subject && told.email.endsWith('@example.com'), told);
  const seen = JSON.parse((await browser.get(`${GATEWAY}/echo`)).text).headers;
  check('the service knows who asks', seen['hostel-subject'] === told.subject, seen);
  check('and what that permits', seen['hostel-scopes'].split(' ').includes('email'), seen);
  check('and what the provider says', JSON.parse(seen['hostel-claims']).email === told.email, seen);
  // Cookies know no ports, so those of a provider on this machine come along.
  check('but never what opens the session', !seen.cookie?.includes('hostel-') && seen.authorization === undefined, seen);
  check('scopes open routes', (await browser.get(`${GATEWAY}/scoped`)).status === 200);
  check('and lacking ones do not', (await browser.get(`${GATEWAY}/denied`)).status === 403);
  check('nor does a session of one provider what is for another', (await browser.get(`${GATEWAY}/other`)).status === 401);
  browser.keep('mine=1; Path=/');
  const kept = JSON.parse((await browser.get(`${GATEWAY}/echo`)).text).headers;
  check('cookies of the service itself reach it', kept.cookie.split('; ').includes('mine=1'), kept);
}

async function otherSites(browser) {
  const post = (headers) => browser.request('POST', `${GATEWAY}/echo`, headers);
  check('a page of this site may change something', (await post({ origin: GATEWAY })).status === 200);
  check('by fetch metadata too', (await post({ 'sec-fetch-site': 'same-origin' })).status === 200);
  for (const headers of [
    {},
    { origin: 'null' },
    { origin: 'http://evil.example' },
    { origin: `${GATEWAY}.evil.example` },
    { 'sec-fetch-site': 'cross-site', origin: GATEWAY },
    { 'sec-fetch-site': 'same-site' },
  ]) {
    const refused = await post(headers);
    check(`another site may not: ${JSON.stringify(headers)}`, refused.status === 403 && refused.text.includes('cross-site'), refused);
  }
  check('nor may it sign somebody out', (await browser.request('POST', `${GATEWAY}/session/logout`, {})).status === 403);
  check('the session goes on', (await browser.get(`${GATEWAY}/echo`)).status === 200);
}

async function planted(cookie) {
  check('the cookie opens the session', (await shown(cookie)) === 200);
  check('but not under another name of the host', (await shown(cookie, 'other.example')) === 401);
  check('nor at another port', (await shown(cookie, '127.0.0.1:1')) === 401);
  const middle = Math.floor(cookie.length / 2);
  const changed = cookie.slice(0, middle) + (cookie[middle] === 'A' ? 'B' : 'A') + cookie.slice(middle + 1);
  for (const forged of [changed, cookie.slice(0, -4), '', 'x', 'A'.repeat(5000)]) {
    check(`a forged cookie of ${forged.length} letters opens nothing`, (await shown(forged)) === 401);
  }
  const host = new URL(GATEWAY).host;
  const foreign = Buffer.from(`name=Zo\u00eb; ${SESSION}=${cookie}`, 'utf8').toString('latin1');
  check('a cookie that nobody can read hides no other', (await raw('/echo', { host, cookie: foreign })).status === 200);
  const long = await raw(`/echo?${'x'.repeat(3000)}`, { 'sec-fetch-mode': 'navigate' });
  check('a person with a long address signs in all the same', long.headers.location === '/session/login?to=%2F', long);
  const two = `${cookie}; ${SESSION}=x`;
  check('of two cookies none counts', (await shown(two)) === 401);
}

async function brokenReturns() {
  const browser = new Browser();
  const asked = await begin(browser, '/echo');
  const back = await atTheProvider(browser, asked);
  const changed = (name, value) => {
    const other = new URL(back);
    if (value === undefined) other.searchParams.delete(name);
    else other.searchParams.set(name, value);
    return other;
  };
  check('another browser cannot end the login', (await new Browser().get(back)).status === 400);
  check('another state does not count', (await browser.get(changed('state', 'x'))).status === 400);
  check('no state does not count', (await browser.get(changed('state'))).status === 400);
  check('another issuer does not count', (await browser.get(changed('iss', 'https://evil.example'))).status === 502);
  check('two codes do not count', (await browser.get(`${back}&code=x`)).status === 400);
  check('another code does not count', (await browser.get(changed('code', 'x'))).status === 502);
  check('the right one does', (await browser.get(back)).status === 303);
  check('once', (await browser.get(back)).status === 400);
  const refused = new Browser();
  const state = (await begin(refused, '/')).searchParams.get('state');
  const iss = back.searchParams.get('iss');
  const denial = `${GATEWAY}/session/callback?error=access_denied&state=${state}${iss ? `&iss=${encodeURIComponent(iss)}` : ''}`;
  check('who is not let in is told so', (await refused.get(denial)).status === 403);
}

async function tabs() {
  const browser = new Browser();
  const first = await atTheProvider(browser, await begin(browser, '/echo?tab=1'));
  const second = await atTheProvider(browser, await begin(browser, '/echo?tab=2'));
  for (const [tab, back] of [[1, first], [2, second]]) {
    const landed = await browser.get(back);
    check(`tab ${tab} of a browser comes back to its own page`, landed.status === 303 && landed.location.search === `?tab=${tab}`, landed);
  }
  for (let number = 0; number < 20; number += 1) await begin(browser, '/');
  const kept = browser.names.filter((name) => name.startsWith(PENDING));
  check('logins that are begun and left do not pile up', kept.length <= 5, kept);
}

async function rotates() {
  const browser = await signedIn();
  const former = browser.cookie(SESSION);
  const landed = await browser.get(await atTheProvider(browser, await begin(browser, '/echo')));
  check('a second login gives another session', landed.status === 303 && browser.cookie(SESSION) !== former);
  check('and ends the first', (await shown(former)) === 401);
}

async function signsOut() {
  const browser = await signedIn();
  const stolen = browser.cookie(SESSION);
  const out = await browser.request('POST', `${GATEWAY}/session/logout`, { origin: GATEWAY });
  check('signing out leads over the provider', out.status === 303 && out.location.searchParams.get('post_logout_redirect_uri') === `${GATEWAY}/`, out);
  check('the browser forgets the session', browser.cookie(SESSION) === undefined);
  check('a stolen cookie is useless after it', (await shown(stolen)) === 401);
}

async function leavesCookies() {
  const browser = await signedIn();
  writeFileSync(JAR, JSON.stringify({ cookie: browser.cookie(SESSION) }));
}

async function lookAgain(isSignedIn) {
  const { cookie } = JSON.parse(readFileSync(JAR));
  // Tokens of that provider count for a second: after it the gateway has to ask.
  await new Promise((over) => setTimeout(over, TOKEN_LIFE_MS));
  // Several at once: the provider takes each refresh token once.
  const seen = await Promise.all(Array.from({ length: 8 }, () => shown(cookie)));
  check(`the session ${isSignedIn ? 'goes on' : 'is over'}`, seen.every((status) => status === (isSignedIn ? 200 : 401)), seen);
}

async function signedIn() {
  const browser = new Browser();
  const landed = await browser.get(await atTheProvider(browser, await begin(browser, '/')));
  check('somebody signs in', landed.status === 303, landed);
  return browser;
}

async function begin(browser, to) {
  const sent = await browser.get(`${GATEWAY}/session/login?to=${encodeURIComponent(to)}${KIND === 'hostel' ? '&sign_up=1' : ''}`);
  check('a login begins', sent.status === 302, sent);
  return sent.location;
}

// Fills in the pages of the provider until it sends the browser back.
async function atTheProvider(browser, url) {
  people.count += 1;
  const name = `person-${process.pid}-${people.count}`;
  for (let page = await browser.get(url), steps = 0; steps < 12; steps += 1) {
    if (page.location) {
      if (page.location.pathname === '/session/callback') return page.location;
      page = await browser.get(page.location);
    } else if (KIND === 'hostel') {
      const fields = { name, email: `${name}@example.com`, password: PASSWORD };
      page = page.form ? await browser.submit(page, fields) : await browser.get(page.links[0]);
    } else {
      page = await browser.submit(page, { login: name, password: 'x' });
    }
  }
  throw new Error(`the provider never sends the browser back from ${url}`);
}

// How a request with this cookie is answered that asks for this host.
async function shown(cookie, host = new URL(GATEWAY).host) {
  return (await raw('/echo', { host, cookie: `${SESSION}=${cookie}` })).status;
}

// A request whose headers are written by hand, also those that fetch writes itself.
function raw(path, headers) {
  return new Promise((done, failed) => {
    httpRequest(`${GATEWAY}${path}`, { headers }, (response) => {
      response.resume();
      done({ status: response.statusCode, headers: response.headers });
    }).on('error', failed).end();
  });
}
