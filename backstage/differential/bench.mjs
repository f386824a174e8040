// The platform's checking and rendering against Backstage's own `fetch:template`, on the same orders in one run:
//   cargo run --release -p environment --example bench -- <orders> <seed> | node backstage/differential/bench.mjs
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { prepare } from './scaffolder.mjs';

const WARM_UP = 30;
const { p50, p99, values } = JSON.parse(await text(process.stdin));
const scaffolder = await prepare();
const times = [];
try {
  for (const one of values.slice(0, WARM_UP)) {
    await scaffolder.render(one);
  }
  for (const one of values) {
    const since = performance.now();
    await scaffolder.render(one);
    times.push(performance.now() - since);
  }
} finally {
  await scaffolder.done();
}
times.sort((a, b) => a - b);
const theirs = times[Math.floor(times.length / 2)] * 1000;
console.log(`validate + render over ${values.length} orders: p50 ${p50.toFixed(0)} µs, p99 ${p99.toFixed(0)} µs (aim: p50 200 µs)`);
console.log(`fetch:template on the same: p50 ${theirs.toFixed(0)} µs; ${(theirs / p50).toFixed(0)} times as long (aim: 50)`);
