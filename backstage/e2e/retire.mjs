/**
 * Retires a database from its page in the catalog: the card's button, the form, the task.
 *
 *   node e2e/retire.mjs '{"name": "feat-1", "reason": "merged"}'
 *
 * Prints {taskUrl, pullRequestUrl, state}.
 */
import { fill, finishTask, input, outcome, run, screenshot } from './lib.mjs';

const { name, reason } = input('VDB_RETIRE');

await run(`/catalog/default/resource/${name}`, async page => {
  await page.getByTestId('vdb-retire').click();

  const confirmation = page.getByLabel('Type the name again');
  const next = page.getByRole('button', { name: 'Review' });
  // Another name must not get past the form.
  await confirmation.fill(`${name}x`);
  await next.click();
  await page.getByText(`type ${name} to go on`).first().waitFor();
  await confirmation.fill(name);
  await fill(page, 'reason', reason);
  await screenshot(page, 'retire-form');
  await next.click();
  await page.getByRole('button', { name: 'Create', exact: true }).click();

  const { taskUrl } = await finishTask(page);
  const result = await outcome(page);
  await screenshot(page, 'retire-task');
  return { taskUrl, ...result };
});
