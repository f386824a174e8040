import type { LoggerService } from '@backstage/backend-plugin-api';
import type { Following } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { type Call, isTransient, sleep, type VdbClient } from './client.ts';

/** The sidecar holds an answer back no longer than this. */
const LONGEST_POLL_SECONDS = 25;
/** Load balancers and people take a longer silence for an end: a line comes at least this often. */
const HEARTBEAT_MS = 30_000;
const PAUSE_MS = 5_000;
/** An answer without news that was not held back: asking on at once would only turn in circles. */
const SHORTEST_POLL_MS = 1_000;

/** Follows a request and says what happens to it. */
export class Follower {
  readonly #client: Pick<VdbClient, 'follow'>;
  readonly #logger: LoggerService;
  readonly #id: string;
  readonly #call: Call;
  readonly #since = Date.now();
  #cursor = 0;
  #seen?: Following;
  /** What was said last of the state. */
  #told = '';

  constructor(
    client: Pick<VdbClient, 'follow'>,
    logger: LoggerService,
    id: string,
    call: Call,
  ) {
    this.#client = client;
    this.#logger = logger;
    this.#id = id;
    this.#call = call;
  }

  /** The state that is reached when nothing more can happen or the time is over. */
  async wait(seconds: number): Promise<Following> {
    const end = this.#since + seconds * 1000;
    const heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    try {
      for (;;) {
        const seen = await this.#look(end);
        if (seen && (isFinal(seen) || Date.now() >= end)) {
          return seen;
        }
      }
    } catch (error) {
      if (this.#call.signal?.aborted) {
        this.#logger.warn(
          `Cancelled: this step waits no more. ${this.#rest()}`,
        );
        throw new Error('the wait was cancelled', { cause: error });
      }
      throw error;
    } finally {
      clearInterval(heartbeat);
    }
  }

  /** Asks once. Where the sidecar does not answer and there is time left, nothing is seen this time. */
  async #look(end: number): Promise<Following | undefined> {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    const since = {
      cursor: this.#cursor,
      seconds: Math.min(left, LONGEST_POLL_SECONDS),
    };
    const asked = Date.now();
    try {
      const seen = await this.#client.follow(this.#id, since, this.#call);
      this.#tell(seen);
      const early = asked + SHORTEST_POLL_MS - Date.now();
      if (early > 0 && left > 0 && !seen.events.length && !isFinal(seen)) {
        await sleep(early, this.#call.signal);
      }
      return seen;
    } catch (error) {
      if (!isTransient(error) || Date.now() + PAUSE_MS >= end) {
        throw error;
      }
      this.#logger.warn(`${message(error)}; trying again`);
      await sleep(PAUSE_MS, this.#call.signal);
      return undefined;
    }
  }

  #tell(seen: Following): void {
    this.#seen = seen;
    this.#cursor = seen.cursor;
    for (const event of seen.events) {
      this.#logger.info(
        event.at ? `${event.message} (${event.at})` : event.message,
      );
    }
    const state = describe(seen);
    if (state !== this.#told && !isFinal(seen)) {
      this.#logger.info(state);
    }
    this.#told = state;
  }

  #beat(): void {
    const seconds = Math.round((Date.now() - this.#since) / 1000);
    const state = this.#told || 'the sidecar has not answered yet';
    this.#logger.info(`Still waiting after ${seconds} s: ${state}`);
  }

  /** What goes on without this step. */
  #rest(): string {
    const seen = this.#seen;
    if (!seen) {
      return `Request ${this.#id} goes on without it.`;
    }
    const where = seen.remoteUrl ? `: ${seen.remoteUrl}` : '';
    return seen.state === 'PROPOSED'
      ? `Pull request #${seen.pullRequestNumber} stays open and can be merged; close it to stop the request${where}`
      : `Request ${this.#id} is ${seen.state} and goes on without it${where}`;
  }
}

function describe({ state, message: text, hint }: Following): string {
  return `${state}: ${text}${hint ? `; ${hint}` : ''}`;
}

function isFinal({ state }: Following): boolean {
  return ['READY', 'REJECTED', 'SUPERSEDED', 'FAILED', 'RETIRED'].includes(
    state,
  );
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
