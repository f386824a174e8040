import type { Stage } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { duration, words } from '../format';
import { elapsed, spans } from '../timeline';
import styles from './DatabaseCard.module.css';

/** How long each stage took, as shares of one bar. */
export const Timeline = ({ stages, now }: { stages: Stage[]; now: Date }) => {
  if (stages.length === 0) {
    return null;
  }
  const bars = spans(stages, now);
  return (
    <section data-testid="vdb-timeline">
      <h4 className={styles.heading}>
        Timeline
        <span className={styles.total} data-testid="vdb-elapsed">
          {duration(elapsed(stages, now))}
        </span>
      </h4>
      <div className={styles.bar} aria-hidden>
        {bars.map((bar, index) => (
          <span
            key={bar.name}
            className={styles.segment}
            data-hue={index % 6}
            data-running={bar.running}
            style={{ flexGrow: Math.max(bar.share, 1) }}
          />
        ))}
      </div>
      <ol className={styles.stages}>
        {bars.map((bar, index) => (
          <li key={bar.name} data-testid={`vdb-stage-${bar.name}`}>
            <span className={styles.key} data-hue={index % 6} aria-hidden />
            <span>{words(bar.name)}</span>
            <span className={styles.seconds}>
              {duration(bar.seconds)}
              {bar.running && ' …'}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
};
