import { digest, idempotencyKey } from './key.ts';

it('is the same for the same content in any order', () => {
  expect(digest({ a: 1, b: [{ c: 'x', d: null }] })).toBe(
    digest({ b: [{ d: null, c: 'x' }], a: 1, e: undefined }),
  );
  expect(digest({ a: 1 })).not.toBe(digest({ a: '1' }));
  expect(digest({ a: [1, 2] })).not.toBe(digest({ a: [2, 1] }));
});

it('is a key that the sidecar takes, whatever the step is called', () => {
  const ctx = {
    task: { id: 'a-b' },
    step: { id: `Öffnen ${'x'.repeat(300)}` },
  };
  const key = idempotencyKey(ctx, {});
  expect(key).toMatch(/^[A-Za-z0-9._:-]{1,200}$/);
  expect(key).toMatch(/^a-b:_ffnen_x+:[0-9a-f]{32}$/);
});
