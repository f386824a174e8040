import { Alert, Skeleton } from '@backstage/ui';
import type {
  Database as DatabaseStatus,
  Environment,
} from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import type { EnvironmentState } from '../hooks/useEnvironment';
import { Connection } from './Connection';
import { Facts } from './Facts';
import { StatusLine } from './StatusLine';
import { Timeline } from './Timeline';
import styles from './DatabaseCard.module.css';

interface NoticeProps {
  testId: string;
  status: 'info' | 'warning' | 'danger';
  title: string;
  description: string;
}

export const Notice = ({ testId, ...alert }: NoticeProps) => (
  <Alert data-testid={testId} icon {...alert} />
);

interface Props {
  name: string;
  state: EnvironmentState;
  now: Date;
}

/** One environment in any of the states in which the portal can find it. */
export const EnvironmentView = ({ name, state, now }: Props) => {
  switch (state.kind) {
    case 'loading':
      return <Skeleton data-testid="vdb-loading" width="100%" height={120} />;
    case 'absent':
      return (
        <Notice
          testId="vdb-absent"
          status="info"
          title={`There is no environment ${name}`}
          description="It was retired, or the pull request that orders it is not merged yet."
        />
      );
    case 'unreachable':
      return (
        <div className={styles.stack}>
          <Notice
            testId="vdb-unreachable"
            status="warning"
            title="The platform cannot be reached"
            description={`${state.message}. ${
              state.last ? 'Below is what was last known.' : ''
            } Asking again.`}
          />
          {state.last && <Found environment={state.last} now={now} />}
        </div>
      );
    default:
      return <Found environment={state.environment} now={now} />;
  }
};

const Found = ({
  environment,
  now,
}: {
  environment: Environment;
  now: Date;
}) => {
  if (environment.request?.state === 'RETIRED') {
    return (
      <Notice
        testId="vdb-retired"
        status="info"
        title={`${environment.name} was retired`}
        description="Its database and its data are gone. This page leaves the catalog soon."
      />
    );
  }
  const { databases } = environment;
  const shown = databases.length > 1 ? databases : [environment];
  return (
    <div
      className={styles.stack}
      data-testid="vdb-environment"
      data-ready={environment.ready}
    >
      {shown.map(database => (
        <Database
          key={database.name}
          database={database}
          environment={environment}
          titled={databases.length > 1}
          now={now}
        />
      ))}
    </div>
  );
};

interface DatabaseProps {
  database: DatabaseStatus;
  environment: Environment;
  titled: boolean;
  now: Date;
}

const Database = ({ database, environment, titled, now }: DatabaseProps) => (
  <section className={styles.stack}>
    {titled && <h4 className={styles.heading}>{database.name}</h4>}
    <StatusLine database={database} />
    <Facts database={database} environment={environment} now={now} />
    {database.endpoint && <Connection endpoint={database.endpoint} />}
    <Timeline stages={database.stages} now={now} />
  </section>
);
