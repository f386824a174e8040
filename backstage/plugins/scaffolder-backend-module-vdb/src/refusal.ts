import {
  ConflictError,
  InputError,
  NotAllowedError,
  NotFoundError,
  ServiceUnavailableError,
} from '@backstage/errors';
import type {
  Problem,
  Refusal,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';

/** One problem in one line, the field before a message that does not name it itself. */
export function sentence({ field, pointer, message, hint }: Problem): string {
  const name = field ?? pointer.replace(/^\//, '');
  const what =
    name && !message.includes(name) ? `${name}: ${message}` : message;
  return hint ? `${what}; ${hint}` : what;
}

/** The problems as lines. */
export function lines(problems: Problem[]): string {
  return problems.map(problem => `* ${sentence(problem)}`).join('\n');
}

/** The refusal of the sidecar as an error of Backstage, with every problem as a line. */
export async function refusal(response: Response): Promise<Error> {
  const body = await response.json().catch(() => undefined);
  const message = isRefusal(body)
    ? text(body)
    : `the sidecar answered ${response.status} ${response.statusText}`.trim();
  switch (response.status) {
    case 400:
    case 413:
    case 422:
      return new InputError(message);
    case 401:
    case 403:
    case 429: // The owner has or orders too much: asking again does not help.
      return new NotAllowedError(message);
    case 404:
      return new NotFoundError(message);
    case 409:
      return new ConflictError(message);
    default:
      return new ServiceUnavailableError(message);
  }
}

function text({ error, problems }: Refusal): string {
  return problems.length > 1
    ? `${problems.length} problems:\n${lines(problems)}`
    : error.message;
}

/** A proxy in between answers with pages of its own. */
function isRefusal(body: unknown): body is Refusal {
  return (
    typeof body === 'object' &&
    body !== null &&
    'error' in body &&
    typeof body.error === 'object' &&
    body.error !== null &&
    'message' in body.error &&
    typeof body.error.message === 'string' &&
    'problems' in body &&
    Array.isArray(body.problems)
  );
}
