// Asks an independent FHIRPath engine for the invariants of a ConceptMap.
//
// In (standard input): {"resource": a ConceptMap}.
// Out (standard output): {"broken": [keys of invariants that do not hold], "held": how many were asked}
//
// The expressions are those of the StructureDefinition ConceptMap of FHIR 5.0.0 for the elements that we write, and the
// required bindings of the same, as expressions.

import { text } from "node:stream/consumers";
import fhirpath from "fhirpath";
import r5 from "fhirpath/fhir-context/r5/index.js";

const RULES = {
  "cnl-0": "name.exists() implies name.matches('^[A-Z]([A-Za-z0-9_]){1,254}$')",
  "cnl-1": "url.exists() implies url.matches('^[^|# ]+$')",
  "cmd-1":
    "group.element.target.all(comment.exists() or (%resource.status = 'draft') or relationship.empty() or " +
    "((relationship != 'source-is-broader-than-target') and (relationship != 'not-related-to')))",
  "cmd-4": "group.element.all((noMap.exists() and noMap=true) implies target.empty())",
  "cmd-5": "group.element.all((code.exists() and valueSet.empty()) or (code.empty() and valueSet.exists()))",
  "cmd-7": "group.element.target.all((code.exists() and valueSet.empty()) or (code.empty() and valueSet.exists()))",
  "cmd-11": "property.all(type = 'code' implies system.exists())",
  "ext-1": "descendants().where(url.exists() and is(Extension)).all(extension.exists() != value.exists())",
  "binding status": "status in ('draft' | 'active' | 'retired' | 'unknown')",
  "binding relationship":
    "group.element.target.all(relationship in ('related-to' | 'equivalent' | 'source-is-narrower-than-target' | " +
    "'source-is-broader-than-target' | 'not-related-to'))",
  "binding property type":
    "property.all(type in ('Coding' | 'string' | 'integer' | 'boolean' | 'dateTime' | 'decimal' | 'code'))",
  "declared properties": "group.element.target.property.all(code in %resource.property.code)",
};

const { resource } = JSON.parse(await text(process.stdin));
const broken = [];
for (const [key, expression] of Object.entries(RULES)) {
  const [holds] = await fhirpath.evaluate(resource, expression, { resource }, r5);
  if (holds !== true) broken.push(key);
}
process.stdout.write(JSON.stringify({ broken, held: Object.keys(RULES).length }));
