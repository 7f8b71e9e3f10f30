// Verifies a signed token with an independent implementation of JOSE.
//
// In (standard input): {"jwt": compact serialization, "jwks": key set, "typ": the type that it must have}.
// Out (standard output): its claims.

import { text } from "node:stream/consumers";
import { createLocalJWKSet, jwtVerify } from "jose";

const { jwt, jwks, typ } = JSON.parse(await text(process.stdin));
const { payload } = await jwtVerify(jwt, createLocalJWKSet(jwks), { typ, algorithms: ["ES256", "EdDSA"] });
console.log(JSON.stringify(payload));
