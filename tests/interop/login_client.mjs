// A relying party made of npm's openid-client, which knows nothing of this project. JSON in, JSON out, in two runs:
// "begin" gives the address to send the citizen to; "finish" takes what came back, and does all that a client may do.
import * as client from 'openid-client';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const asked = JSON.parse(Buffer.concat(chunks).toString('utf8'));

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };

async function importPair({ publicJwk, privateJwk }) {
  const [publicKey, privateKey] = await Promise.all([
    crypto.subtle.importKey('jwk', publicJwk, ALGORITHM, true, ['verify']),
    crypto.subtle.importKey('jwk', privateJwk, ALGORITHM, true, ['sign']),
  ]);
  return { publicKey, privateKey };
}

async function exportPair({ publicKey, privateKey }) {
  const [publicJwk, privateJwk] = await Promise.all([
    crypto.subtle.exportKey('jwk', publicKey), crypto.subtle.exportKey('jwk', privateKey),
  ]);
  return { publicJwk, privateJwk };
}

async function authentication({ secret, key }) {
  if (!key) return client.ClientSecretBasic(secret);
  const { kid, ...jwk } = key;
  return client.PrivateKeyJwt({ kid, key: await crypto.subtle.importKey('jwk', jwk, ALGORITHM, false, ['sign']) });
}

const config = await client.discovery(
  new URL(asked.issuer), asked.clientId, { id_token_signed_response_alg: 'ES256' }, await authentication(asked),
  { execute: [client.allowInsecureRequests] },
);

async function begin() {
  const kept = {
    verifier: client.randomPKCECodeVerifier(), state: client.randomState(), nonce: client.randomNonce(),
    pair: asked.dpop ? await exportPair(await client.randomDPoPKeyPair('ES256', { extractable: true })) : null,
  };
  const parameters = {
    redirect_uri: asked.redirectUri,
    code_challenge: await client.calculatePKCECodeChallenge(kept.verifier),
    code_challenge_method: 'S256',
    state: kept.state,
    nonce: kept.nonce,
    ...asked.parameters,
  };
  const DPoP = kept.pair ? client.getDPoPHandle(config, await importPair(kept.pair)) : undefined;
  const url = asked.par
    ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
    : client.buildAuthorizationUrl(config, parameters);
  return { url: url.href, kept };
}

async function finish() {
  const { kept } = asked;
  const DPoP = kept.pair ? client.getDPoPHandle(config, await importPair(kept.pair)) : undefined;
  const tokens = await client.authorizationCodeGrant(
    config, new URL(asked.url),
    { pkceCodeVerifier: kept.verifier, expectedState: kept.state, expectedNonce: kept.nonce, idTokenExpected: true },
    undefined, { DPoP },
  );
  const claims = tokens.claims();
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP });
  const introspected = await client.tokenIntrospection(config, tokens.access_token);
  let refreshed = null;
  if (tokens.refresh_token) {
    const again = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
    refreshed = { sub: again.claims()?.sub ?? null, tokenType: again.token_type };
    await client.tokenRevocation(config, again.refresh_token ?? tokens.refresh_token);
  }
  await client.tokenRevocation(config, tokens.access_token);
  const afterwards = await client.tokenIntrospection(config, tokens.access_token);
  const logout = client.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token, post_logout_redirect_uri: asked.postLogoutRedirectUri, state: 'bye',
  });
  return {
    claims, userinfo, tokenType: tokens.token_type, active: introspected.active, activeAfterwards: afterwards.active,
    refreshed, logoutUrl: logout.href,
  };
}

process.stdout.write(JSON.stringify(await (asked.phase === 'begin' ? begin() : finish())));
