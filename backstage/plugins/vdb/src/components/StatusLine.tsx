import type { Database } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { words } from '../format';
import styles from './DatabaseCard.module.css';

type Tone = 'good' | 'busy' | 'bad' | 'quiet';

const TONES: Record<string, Tone> = {
  Failed: 'bad',
  Suspended: 'quiet',
  Deleting: 'quiet',
};

/** Ready wins over the phase: the phase is for people, readiness was proved by a query. */
export function tone(database: Database): Tone {
  if (database.ready) {
    return 'good';
  }
  return TONES[database.phase] ?? 'busy';
}

export const StatusLine = ({ database }: { database: Database }) => {
  const title = database.ready ? 'Ready' : database.phase;
  const { reason, message, hint } = database;
  return (
    <div
      className={styles.status}
      data-tone={tone(database)}
      data-testid="vdb-status"
    >
      <span className={styles.dot} aria-hidden />
      <div className={styles.statusText}>
        <div className={styles.statusTitle}>
          <strong data-testid="vdb-phase">{title}</strong>
          {reason && reason !== title && (
            <span className={styles.reason} data-testid="vdb-reason">
              {words(reason)}
            </span>
          )}
        </div>
        {message && <div data-testid="vdb-message">{message}</div>}
        {hint && !database.ready && (
          <div className={styles.hint} data-testid="vdb-hint">
            {hint}
          </div>
        )}
      </div>
    </div>
  );
};
