import { Link } from '@backstage/ui';
import type { ReactNode } from 'react';
import type {
  Database,
  Environment,
  EnvironmentRequest,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { age, pullRequestTitle, refName, words } from '../format';
import styles from './DatabaseCard.module.css';

interface Props {
  database: Database;
  environment: Environment;
  now: Date;
}

/** Where the data comes from, how old it is, and which order brought it. */
export const Facts = ({ database, environment, now }: Props) => (
  <dl className={styles.facts}>
    <Fact title="Source" testId="vdb-source">
      {database.source}
    </Fact>
    <Fact title="Data as of" testId="vdb-data-as-of">
      {database.dataAsOf && (
        <time dateTime={database.dataAsOf} title={database.dataAsOf}>
          {age(database.dataAsOf, now) ?? database.dataAsOf}
        </time>
      )}
    </Fact>
    <Fact title="Ordered by" testId="vdb-by">
      {environment.request?.by && refName(environment.request.by)}
    </Fact>
    <Fact title="Order" testId="vdb-request">
      {environment.request && <Order request={environment.request} />}
    </Fact>
  </dl>
);

const Order = ({ request }: { request: EnvironmentRequest }) => (
  <>
    <span data-testid="vdb-request-state">{words(request.state)} </span>
    {request.pullRequest && (
      <Link
        href={request.pullRequest}
        target="_blank"
        rel="noopener"
        data-testid="vdb-pull-request"
      >
        Pull request {pullRequestTitle(request.pullRequest)}
      </Link>
    )}
  </>
);

/** Left out while its value is unknown. */
const Fact = (props: { title: string; testId: string; children: ReactNode }) =>
  props.children ? (
    <div className={styles.fact}>
      <dt>{props.title}</dt>
      <dd data-testid={props.testId}>{props.children}</dd>
    </div>
  ) : null;
