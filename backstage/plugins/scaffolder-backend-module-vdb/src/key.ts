import { createHash } from 'node:crypto';
import type { JsonValue } from '@backstage/types';

/** Step ids are free text; the sidecar takes letters, digits and these in a key. */
const NOT_IN_A_KEY = /[^A-Za-z0-9._-]/g;
const LONGEST_STEP = 60;

/** The same for the same content, in whatever order its fields stand. Absent fields do not count. */
export function digest(input: JsonValue | undefined): string {
  return createHash('sha256').update(stable(input)).digest('hex').slice(0, 32);
}

/**
 * The idempotency key of a step's call: the same when the task is recovered or the step is run again, another for each
 * turn of a step with `each`, whose inputs differ.
 */
export function idempotencyKey(
  ctx: { task: { id: string }; step?: { id?: string } },
  input: JsonValue,
): string {
  const clean = (text: string) => text.replace(NOT_IN_A_KEY, '_');
  const step = clean(ctx.step?.id ?? 'step').slice(0, LONGEST_STEP);
  return `${clean(ctx.task.id)}:${step}:${digest(input)}`;
}

function stable(value: JsonValue | undefined): string {
  if (Array.isArray(value)) {
    return `[${value.map(stable).join(',')}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => `${JSON.stringify(name)}:${stable(field)}`);
    return `{${fields.join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}
