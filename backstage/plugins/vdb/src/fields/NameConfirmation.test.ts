import { mismatch } from './NameConfirmation';

it.each([
  ['feat-1', 'resource:default/feat-1', undefined],
  ['feat-12', 'resource:default/feat-1', 'type feat-1 to go on'],
  ['', 'resource:default/feat-1', 'type feat-1 to go on'],
  ['feat-1', undefined, 'choose a database first'],
  ['feat-1', '::', 'choose a database first'],
])('%s confirms %s: %s', (typed, entity, expected) => {
  expect(mismatch(typed, entity)).toBe(expected);
});
