/**
 * Opens a database's page in the catalog and waits until its card says ready.
 *
 *   node e2e/entity.mjs '{"name": "feat-1"}'
 *
 * Prints {phase, message, host, elapsed, pullRequestUrl}.
 */
import { api, input, PLATFORM_MS, run, screenshot, until } from './lib.mjs';

const { name } = input('VDB_ENTITY');

// Asked for outside the page: until the catalog has the entity, its page is an error.
await until(
  () => api(`/api/catalog/entities/by-name/resource/default/${name}`),
  `the catalog has no resource ${name}`,
);

await run(`/catalog/default/resource/${name}`, async page => {
  const card = page.getByTestId('vdb-environment');
  await card.and(page.locator('[data-ready="true"]')).waitFor({ timeout: PLATFORM_MS });
  const text = id => card.getByTestId(id).textContent();
  const result = {
    phase: await text('vdb-phase'),
    message: await text('vdb-message'),
    host: await card.getByTestId('vdb-host').textContent(),
    elapsed: await text('vdb-elapsed'),
    pullRequestUrl: await card.getByTestId('vdb-pull-request').getAttribute('href'),
  };
  await screenshot(page, 'entity');
  return result;
});
