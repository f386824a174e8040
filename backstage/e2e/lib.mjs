/**
 * What the browser scripts share: a Chromium that is signed in as the guest, waits on conditions only, and
 * counts every error of the page as a failure.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const base = process.env.BACKSTAGE_BASE_URL ?? 'http://localhost:7007';

/** Longest wait for a page to show something; a loaded machine is slow to start Chromium. */
export const PAGE_MS = Number(process.env.E2E_PAGE_MS ?? 60_000);
/** Longest wait for the platform itself: a task, a database, a notification. */
export const PLATFORM_MS = Number(process.env.E2E_PLATFORM_MS ?? 180_000);

const folder = process.env.E2E_SCREENSHOTS ?? join(import.meta.dirname, 'screenshots');

/** The script's input: a JSON object as first argument, else in the environment variable. */
export function input(variable) {
  const text = process.argv[2] ?? process.env[variable];
  if (!text) {
    throw new Error(`say what to do as JSON, in the first argument or in ${variable}`);
  }
  return JSON.parse(text);
}

/** Runs the script with a signed-in page, prints its result as one line of JSON, exits 1 on any error. */
export async function run(path, script) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // No sandbox: containers and root have no user namespaces for it. Shared memory is small there as well.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
  page.setDefaultTimeout(PAGE_MS);
  const errors = [];
  page.on('pageerror', error => errors.push(error.message));
  page.on('console', message => {
    if (message.type() === 'error') {
      errors.push(`${message.text()} (${message.location().url})`);
    }
  });
  try {
    await page.goto(`${base}${path}`, { waitUntil: 'domcontentloaded' });
    await page.getByRole('button', { name: 'Enter' }).click();
    const result = await script(page);
    if (errors.length > 0) {
      throw new Error(`the page reported errors:\n${errors.join('\n')}`);
    }
    console.log(JSON.stringify(result));
  } catch (error) {
    await screenshot(page, 'failed').catch(() => {});
    console.error(error.message);
    for (const line of errors) {
      console.error(`page: ${line}`);
    }
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

export async function screenshot(page, name, options = {}) {
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled', ...options });
}

/** Fills in a form field by its name in the template, where there is something to fill in. */
export async function fill(page, field, value) {
  if (value === undefined) {
    return;
  }
  const input = page.locator(`#root_${field}`);
  await input.waitFor();
  if ((await input.getAttribute('aria-haspopup')) === 'listbox') {
    await input.click();
    await page.getByRole('option', { name: value, exact: true }).click();
  } else {
    await input.fill(String(value));
  }
}

/** The template's task from its start to its end. */
export async function finishTask(page) {
  await page.waitForURL(/\/create\/tasks\/[0-9a-f-]+/);
  const taskUrl = page.url();
  const id = taskUrl.split('/').pop();
  const task = await until(
    async () => {
      const answer = await api(`/api/scaffolder/v2/tasks/${id}`);
      return ['completed', 'failed', 'cancelled'].includes(answer?.status) ? answer : undefined;
    },
    `the task ${taskUrl} has not ended`,
  );
  if (task.status !== 'completed') {
    const events = (await api(`/api/scaffolder/v2/tasks/${id}/events`)) ?? [];
    const error = events.map(event => event.body.error?.message).filter(Boolean).at(-1);
    throw new Error(`the task ${taskUrl} is ${task.status}: ${error ?? 'no error recorded'}`);
  }
  return { taskUrl, id };
}

/** What the finished task shows: the link to the pull request, and the state that was reached. */
export async function outcome(page) {
  await page.getByText('Pull request', { exact: true }).first().waitFor();
  const link = page.locator('a').filter({ hasText: 'Pull request' });
  const pullRequestUrl = await link.first().getAttribute('href');
  const state = await page.locator('strong').first().textContent();
  return { pullRequestUrl, state };
}

/** Asks the portal's API as the guest, from outside the page: a 404 there is an answer, not an error. */
export async function api(path) {
  token ??= await guestToken();
  const response = await fetch(`${base}${path}`, { headers: { authorization: `Bearer ${token}` } });
  return response.ok ? response.json() : undefined;
}

let token;

async function guestToken() {
  const response = await fetch(`${base}/api/auth/guest/refresh`, {
    method: 'POST',
    headers: { 'x-requested-with': 'XMLHttpRequest' },
  });
  const { backstageIdentity } = await response.json();
  return backstageIdentity.token;
}

/** The first answer that is not undefined. */
export async function until(ask, complaint, limit = PLATFORM_MS) {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) {
      return answer;
    }
    if (Date.now() > end) {
      throw new Error(`${complaint} after ${limit / 1000} s`);
    }
    await new Promise(resolve => setTimeout(resolve, 250));
  }
}
