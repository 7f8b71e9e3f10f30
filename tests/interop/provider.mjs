// npm's oidc-provider at a port of the loopback, until its standard input ends: it stands in for a province's identity
// provider, and is what logins are measured against. Its settings are the first line of standard input, as JSON:
// {port, clients, jwks, claims: {scope: [claim, …]}, account: {claim: value}, features}. Interactions are its own.
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
const settings = JSON.parse(await new Promise((resolve) => lines.once('line', resolve)));
const issuer = `http://127.0.0.1:${settings.port}`;

const provider = new Provider(issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  claims: { openid: ['sub'], ...settings.claims },
  conformIdTokenClaims: true,
  cookies: { keys: ['only-for-tests'] },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'], dPoPSigningAlgValues: ['ES256'] },
  features: {
    devInteractions: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
    ...settings.features,
  },
  // It fetches nothing from special addresses by default, and all of this is on loopback.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  pkce: { required: () => true },
  ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 900, Session: 28800, Grant: 28800 },
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...settings.account }) }),
});

for (const event of ['grant.error', 'authorization.error', 'server_error', 'userinfo.error', 'pushed_authorization_request.error']) {
  provider.on(event, (ctx, error) => console.error(event, error.error, error.error_description, error.error_detail ?? error));
}

const server = provider.listen(settings.port, '127.0.0.1', () => process.stdout.write('ready\n'));
lines.once('close', () => { server.closeAllConnections(); server.close(() => process.exit(0)); });
