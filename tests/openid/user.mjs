// A user who signs up or in for a client, through the pages.

import * as client from 'openid-client';

const PASSWORD = 'a few plain words';

/** The client of the environment. */
export async function configure() {
  const { ISSUER, CLIENT_ID, CLIENT_SECRET } = process.env;
  return client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, { execute: [client.allowInsecureRequests] });
}

/** Makes an account and answers its tokens; `taken` when there is one. */
export async function signUp(shop, browser, email) {
  const asked = await request(shop);
  const form = await browser.get((await browser.get(asked.url)).links[0]);
  const answer = await browser.submit(form, { name: 'Ada', email, password: PASSWORD });
  return answer.status === 409 ? 'taken' : exchange(shop, asked, answer);
}

/** Signs in and answers the tokens. */
export async function signIn(shop, browser, email) {
  const asked = await request(shop);
  return exchange(shop, asked, await browser.submit(await browser.get(asked.url), { email, password: PASSWORD }));
}

async function request(shop) {
  const verifier = client.randomPKCECodeVerifier();
  const url = client.buildAuthorizationUrl(shop, {
    redirect_uri: process.env.REDIRECT_URI,
    scope: 'openid email',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  return { url, verifier };
}

async function exchange(shop, { verifier }, { status, location }) {
  if (status !== 303) throw new Error(`the form was answered ${status}`);
  return client.authorizationCodeGrant(shop, location, { pkceCodeVerifier: verifier });
}
