import { age, duration, pullRequestTitle, refName, words } from './format';
import { now } from './testing/data';

it.each([
  ['2026-11-23T11:59:30Z', 'just now'],
  ['2026-11-23T11:58:59Z', '1 minute ago'],
  ['2026-11-23T09:00:00Z', '3 hours ago'],
  ['2026-11-20T12:00:00Z', '3 days ago'],
  ['no time', undefined],
])('the age of %s is %s', (time, expected) => {
  expect(age(time, now)).toBe(expected);
});

it.each([
  [0.421, '0.42 s'],
  [7.44, '7.4 s'],
  [125, '2 min 5 s'],
])('%s seconds read as %s', (seconds, expected) => {
  expect(duration(seconds)).toBe(expected);
});

it('names are shortened for people', () => {
  expect(refName('user:default/guest')).toBe('guest');
  expect(refName('guest')).toBe('guest');
  expect(pullRequestTitle('http://git/acme/databases/pulls/7')).toBe('#7');
  expect(pullRequestTitle('http://git/change')).toBe('http://git/change');
  expect(words('HookFailed')).toBe('Hook failed');
  expect(words('post-create')).toBe('Post create');
  expect(words('PROPOSED')).toBe('Proposed');
});
