// A real OpenID provider on a port of this machine, a free one without PORT, which it prints. Tokens of its client
// `warehouse`, got by client credentials for the resource `urn:shop`, are JWTs signed with ES256. With REDIRECT_URI
// browsers can sign in too, for the client `storefront`, and by any name and password; their tokens count for
// seconds only, and what it knows ends with it.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'ES256' };

const client = {
  client_id: 'warehouse',
  client_secret: 'secret',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: 'client_secret_post',
  id_token_signed_response_alg: 'ES256',
};

const { REDIRECT_URI, POST_LOGOUT_URI } = process.env;
const storefront = {
  client_id: 'storefront',
  client_secret: process.env.CLIENT_SECRET,
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: [REDIRECT_URI],
  post_logout_redirect_uris: [POST_LOGOUT_URI],
  response_types: ['code'],
  id_token_signed_response_alg: 'ES256',
};

// Anybody has an account, and the e-mail address that fits.
const findAccount = (_, id) => ({
  accountId: id,
  claims: () => ({ sub: id, name: `The person ${id}`, email: `${id}@example.com`, email_verified: false }),
});

const getResourceServerInfo = (_, resource) => ({
  audience: resource,
  scope: 'orders stock',
  accessTokenTTL: 300,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'ES256' } },
});

const server = createServer();
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: REDIRECT_URI ? [client, storefront] : [client],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    findAccount,
    issueRefreshToken: () => true,
    ttl: { AccessToken: 1, IdToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
    features: {
      devInteractions: { enabled: Boolean(REDIRECT_URI) },
      clientCredentials: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo },
    },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
