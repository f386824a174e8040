// Reads the report of `npm audit --json`: a finding fails unless audit-exceptions.json lists its advisory with a reason.
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

const exceptions = JSON.parse(readFileSync(new URL('audit-exceptions.json', import.meta.url), 'utf8'));
for (const [id, reason] of Object.entries(exceptions)) {
  if (!/^GHSA(-[0-9a-z]{4}){3}$/.test(id) || typeof reason !== 'string' || reason.length < 20) {
    throw new Error(`audit-exceptions.json: ${id} needs an advisory's id and a reason of a sentence`);
  }
}

/** Why the registry did not answer the question; nothing where npm itself could not ask. */
function unreachable({ statusCode, message = '' }) {
  return statusCode !== undefined || / failed, reason: /.test(message) ? message : undefined;
}

const input = await text(process.stdin);
// Nothing at all: the time was over.
const report = input.trim() === '' ? { statusCode: 0, message: 'no answer in time' } : JSON.parse(input);
if (report.vulnerabilities === undefined) {
  const reason = unreachable(report);
  if (reason === undefined) {
    console.error(`npm audit failed: ${input.trim()}`);
    process.exit(1);
  }
  console.log(`SKIPPED advisories of the portal's packages: the registry does not offer them (${reason})`);
  process.exit(0);
}

const found = new Map();
for (const [name, { via, fixAvailable }] of Object.entries(report.vulnerabilities)) {
  // A text among these names another package of the report, which brings the advisory itself.
  for (const advisory of via.filter(one => typeof one === 'object')) {
    found.set(advisory.url.split('/').pop(), { name, fixAvailable, ...advisory });
  }
}
const open = [...found].filter(([id]) => !(id in exceptions));
for (const [id, { name, severity, title, range, fixAvailable }] of open) {
  const remedy = fixAvailable ? 'there is a fixed version: take it by overrides' : 'there is no fixed version';
  console.error(`${id} ${severity}: ${name} ${range}: ${title}; ${remedy}`);
}
for (const id of Object.keys(exceptions).filter(one => !found.has(one))) {
  console.log(`${id} is listed in audit-exceptions.json and not found any more: remove it`);
}
console.log(`${found.size} advisories of the portal's packages, ${open.length} that are not accepted`);
process.exitCode = open.length > 0 ? 1 : 0;
