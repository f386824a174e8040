import { now, provisioning, ready } from './testing/data';
import { elapsed, spans } from './timeline';

it('a stage has the given length, or that between its two times', () => {
  expect(spans(ready.stages, now)).toEqual([
    { name: 'provision', seconds: 1, share: 25, running: false },
    { name: 'post-create', seconds: 3, share: 75, running: false },
  ]);
});

it('a stage under way is measured up to now', () => {
  expect(spans(provisioning.stages, now)).toEqual([
    { name: 'provision', seconds: 2, share: 100, running: true },
  ]);
});

it('the whole is from the first start to the last end', () => {
  expect(elapsed(ready.stages, now)).toBe(4);
  expect(elapsed([], now)).toBe(0);
});
