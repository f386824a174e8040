/**
 * Orders a database through the form, as a person would.
 *
 *   node e2e/order.mjs '{"name": "feat-1", "initSql": "select 1"}'
 *
 * Fields that are left out keep what the form offers. Prints {taskUrl, pullRequestUrl, state}.
 */
import { fill, finishTask, input, outcome, run, screenshot } from './lib.mjs';

const order = input('VDB_ORDER');

await run('/create', async page => {
  const card = page
    .locator('.MuiCard-root, [data-testid="template-card"]')
    .filter({ hasText: 'A copy of a big PostgreSQL database' });
  await card.getByRole('button', { name: 'Choose' }).click();

  for (const field of ['name', 'source', 'description']) {
    await fill(page, field, order[field]);
  }
  // The team comes from the catalog; until it is there, the form is not complete.
  await page.locator('#root_owner:not([value=""])').waitFor();
  await screenshot(page, 'form');
  await page.getByRole('button', { name: 'Next' }).click();

  for (const field of ['database', 'user', 'image', 'cpu', 'memory']) {
    await fill(page, field, order[field]);
  }
  for (const [index, setting] of (order.postgresConfig ?? []).entries()) {
    await page.getByRole('button', { name: 'Add Item' }).click();
    await fill(page, `postgresConfig_${index}_name`, setting.name);
    await fill(page, `postgresConfig_${index}_value`, setting.value);
  }
  await fill(page, 'initSql', order.initSql);
  await screenshot(page, 'form-how', { fullPage: true });
  await page.getByRole('button', { name: 'Review' }).click();
  await page.getByRole('button', { name: 'Create', exact: true }).click();

  const { taskUrl } = await finishTask(page);
  const result = await outcome(page);
  await screenshot(page, 'task');
  return { taskUrl, ...result };
});
