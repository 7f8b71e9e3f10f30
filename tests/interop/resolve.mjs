// Resolves an entity with an independent implementation of OpenID Federation and an independent one of JOSE.
//
// In (standard input): {"entity": id, "anchor": id, "jwks": the anchor's pinned key set}.
// Out (standard output): one object
//   known       what the library makes of the entity by itself, metadata after policy; null when it finds no chain
//   whole       the same over the chain that the library fetched, by its policy functions, and every claim in it
//   expires_at  when the first of the verified statements ends
//   path        whose statements the chain consists of, as [issuer, subject], the entity's own first
//
// What the library (0.2.1) leaves to its caller, or does otherwise than the standard, is done here:
//   - it pins an anchor by its name only: the anchor's configuration is verified with the pinned keys (§10.2)
//   - it verifies an entity's own configuration with that configuration's keys only: here it must hold with those
//     that the superior's statement gives as well (§10.2)
//   - it forgets metadata of entity types that it does not know, such as yrd_node, before it applies the policy:
//     `whole` gives the same functions all that was said (§5.1: other types are allowed)
//   - it drops a chain whose policy has subset_of or superset_of for a parameter that the entity does not have,
//     where the standard has nothing to check (§6.1.3.1.5, §6.1.3.1.6): `whole` leaves such a rule out
//   - it leaves the leaf's own configuration out when it looks for the first statement to expire (§10.4)

import { text } from "node:stream/consumers";
import {
  applyMetadataPolicyToMetadata,
  combineMetadataPolicies,
  fetchEntityConfigurationChains,
  fetchEntityStatementChain,
  resolveTrustChains,
} from "@openid-federation/core";
import { compactVerify, importJWK } from "jose";

const ALGORITHMS = ["ES256", "EdDSA"];
const { entity, anchor, jwks } = JSON.parse(await text(process.stdin));
const verified = new Map();

async function holds(jwt, keys, kid) {
  const key = keys.find((candidate) => candidate.kid === kid);
  if (!key) throw new Error(`nobody above gives the key ${kid}`);
  await compactVerify(jwt, await importJWK(key), { algorithms: ALGORITHMS });
}

async function verify({ jwt, header, claims, jwk }) {
  const isAnchors = claims.iss === anchor && claims.sub === anchor;
  await holds(jwt, isAnchors ? jwks.keys : [jwk], header.kid);
  verified.set(`${claims.iss} ${claims.sub}`, { jwt, header, claims });
  return true;
}

async function fetchOnlyChain() {
  const trusted = { trustAnchorEntityIds: [anchor], verifyJwtCallback: verify };
  const chains = await fetchEntityConfigurationChains({ leafEntityId: entity, ...trusted });
  if (chains.length !== 1) throw new Error(`${chains.length} chains lead from ${entity} to ${anchor}`);
  const statements = await fetchEntityStatementChain({
    entityConfigurations: chains[0],
    verifyJwtCallback: verify,
  });
  return statements.map(({ iss, sub }) => verified.get(`${iss} ${sub}`));
}

async function requireKeysFromAbove(superiors) {
  for (const { claims } of superiors) {
    const own = verified.get(`${claims.sub} ${claims.sub}`);
    await holds(own.jwt, claims.jwks.keys, own.header.kid);
  }
}

// §6.1.4: what the immediate superior says goes before the entity's own word, and the policy over both.
function metadataAfterPolicy(leaf, superiors) {
  const metadata = structuredClone(leaf.metadata ?? {});
  for (const [type, values] of Object.entries(superiors[0].metadata ?? {})) {
    metadata[type] = { ...metadata[type], ...values };
  }
  const { mergedPolicy } = combineMetadataPolicies({ statements: superiors });
  const policyMetadata = withoutRulesForNothing(mergedPolicy, metadata);
  return applyMetadataPolicyToMetadata({ leafMetadata: metadata, policyMetadata }).resolvedLeafMetadata;
}

function withoutRulesForNothing(policy, metadata) {
  const kept = structuredClone(policy);
  for (const [type, parameters] of Object.entries(kept)) {
    for (const [parameter, rules] of Object.entries(parameters)) {
      const given = ["value", "add", "default"].some((operator) => operator in rules);
      if (given || metadata[type]?.[parameter] !== undefined) continue;
      delete rules.subset_of;
      delete rules.superset_of;
    }
  }
  return kept;
}

const superiors = (await fetchOnlyChain()).slice(0, -1);
await requireKeysFromAbove(superiors);
const leaf = verified.get(`${entity} ${entity}`);
const top = verified.get(`${anchor} ${anchor}`);
const statements = [leaf, ...superiors, top].map(({ claims }) => claims);
const [resolved] = await resolveTrustChains({
  entityId: entity,
  trustAnchorEntityIds: [anchor],
  verifyJwtCallback: verify,
});
console.log(
  JSON.stringify({
    known: resolved?.resolvedLeafMetadata ?? null,
    whole: metadataAfterPolicy(
      leaf.claims,
      superiors.map(({ claims }) => claims),
    ),
    expires_at: Math.min(...statements.map(({ exp }) => exp)),
    path: statements.map(({ iss, sub }) => [iss, sub]),
  }),
);
