/**
 * Waits for a notification and shows the page that lists it.
 *
 *   node e2e/notifications.mjs '{"text": "feat-1 is ready"}'
 *
 * Prints {title, link}.
 */
import { api, input, PAGE_MS, run, screenshot, until } from './lib.mjs';

const { text } = input('VDB_NOTIFICATION');

const notification = await until(async () => {
  const { notifications = [] } = (await api('/api/notifications/notifications')) ?? {};
  return notifications.find(({ payload }) => payload.title.includes(text));
}, `no notification says "${text}"`);

await run('/notifications', async page => {
  const { title, link } = notification.payload;
  await page.getByText(title).first().waitFor({ timeout: PAGE_MS });
  await screenshot(page, 'notifications');
  return { title, link };
});
