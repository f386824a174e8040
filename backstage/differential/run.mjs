// Holds the platform's rendering against Backstage's own `fetch:template`, byte by byte:
//   cargo run -p environment --example orders -- <count> <seed> | node backstage/differential/run.mjs
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { prepare } from './scaffolder.mjs';

const { parse } = createRequire(import.meta.url)('yaml');
const FEWEST = 500;

const { seed, orders } = JSON.parse(await text(process.stdin));
const scaffolder = await prepare();
const failures = [];

/** What the catalog's own YAML reader sees in an order that is taken. */
function misread({ values, taken, files }) {
  if (!taken) {
    return undefined;
  }
  const entity = parse(files['catalog-info.yaml']);
  const vdb = parse(files['values.yaml']).vdb;
  const wanted = [
    [entity.metadata.name, values.name],
    [entity.metadata.description ?? null, values.description || null],
    [entity.spec.owner, values.owner],
    [vdb.source.reference, values.source],
    [vdb.database.user, values.user],
    [vdb.hooks?.[0].script ?? null, values.initSql || null],
    [JSON.stringify(vdb.postgresConfig ?? []), JSON.stringify(values.postgresConfig)],
  ];
  return wanted.find(([read, ordered]) => read !== ordered);
}

function firstDifference(ours, theirs) {
  const [a, b] = [ours.split('\n'), theirs.split('\n')];
  const line = a.findIndex((one, i) => one !== b[i]);
  const at = line < 0 ? a.length : line;
  return `line ${at + 1}: ours ${JSON.stringify(a[at])}, fetch:template ${JSON.stringify(b[at])}`;
}

try {
  for (const [i, order] of orders.entries()) {
    const theirs = await scaffolder.render(order.values);
    for (const [name, ours] of Object.entries(order.files)) {
      if (theirs[name] !== ours) {
        failures.push(`order ${i}, ${name}, ${firstDifference(ours, theirs[name])}`);
      }
    }
    const wrong = misread(order);
    if (wrong) {
      failures.push(`order ${i}: read back as ${JSON.stringify(wrong[0])} instead of ${JSON.stringify(wrong[1])}`);
    }
  }
} finally {
  await scaffolder.done();
}
for (const failure of failures.slice(0, 10)) {
  console.error(failure);
}
const taken = orders.filter(order => order.taken).length;
console.log(
  `seed ${seed}: ${orders.length} orders (${taken} that are taken), ${orders.length * 2} files against fetch:template, ${failures.length} differences`,
);
if (orders.length < FEWEST) {
  console.error(`at least ${FEWEST} orders are compared`);
}
process.exitCode = failures.length > 0 || orders.length < FEWEST ? 1 : 0;
