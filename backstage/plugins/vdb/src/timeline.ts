import type { Stage } from '@postgres-vdb-platform/backstage-plugin-vdb-common';

/** A stage with its length, and its share of the whole. */
export interface Span {
  name: string;
  seconds: number;
  /** Percent of the whole. */
  share: number;
  running: boolean;
}

/** Lengths of the stages; those under way are measured up to now. */
export function spans(stages: readonly Stage[], now: Date): Span[] {
  const measured = stages.map(stage => ({
    name: stage.name,
    seconds: seconds(stage, now),
    running: !stage.finishedAt,
  }));
  const total = measured.reduce((sum, { seconds: s }) => sum + s, 0);
  return measured.map(span => ({
    ...span,
    share: total > 0 ? (span.seconds / total) * 100 : 0,
  }));
}

/** From the first start to the last end: stages may overlap, so their sum would be too much. */
export function elapsed(stages: readonly Stage[], now: Date): number {
  if (stages.length === 0) {
    return 0;
  }
  const starts = stages.map(stage => Date.parse(stage.startedAt));
  const ends = stages.map(stage =>
    stage.finishedAt ? Date.parse(stage.finishedAt) : now.getTime(),
  );
  return Math.max(0, (Math.max(...ends) - Math.min(...starts)) / 1000);
}

function seconds(stage: Stage, now: Date): number {
  if (stage.seconds !== undefined && stage.seconds !== null) {
    return stage.seconds;
  }
  const end = stage.finishedAt ? Date.parse(stage.finishedAt) : now.getTime();
  return Math.max(0, (end - Date.parse(stage.startedAt)) / 1000);
}
