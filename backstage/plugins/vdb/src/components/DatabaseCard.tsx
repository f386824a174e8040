import type { Entity } from '@backstage/catalog-model';
import { EntityInfoCard, useEntity } from '@backstage/plugin-catalog-react';
import { ENVIRONMENT_ANNOTATION } from '../annotation';
import { type EnvironmentState, useEnvironment } from '../hooks/useEnvironment';
import { Actions } from './Actions';
import styles from './DatabaseCard.module.css';
import { EnvironmentView, Notice } from './EnvironmentView';

/** The state of the entity's database, and what can be done with it. */
export const DatabaseCard = () => {
  const { entity } = useEntity();
  const name = entity.metadata.annotations?.[ENVIRONMENT_ANNOTATION];
  return (
    <EntityInfoCard title="Database">
      {name ? (
        <LiveEnvironment name={name} entity={entity} />
      ) : (
        <Notice
          testId="vdb-no-environment"
          status="info"
          title="This entity is not tied to an environment"
          description={`Its annotation ${ENVIRONMENT_ANNOTATION} names the environment whose database is shown here.`}
        />
      )}
    </EntityInfoCard>
  );
};

const LiveEnvironment = ({ name, entity }: { name: string; entity: Entity }) => {
  const state = useEnvironment(name);
  return (
    <div className={styles.stack}>
      <Actions entity={entity} capabilities={known(state)?.capabilities} />
      <EnvironmentView name={name} state={state} now={new Date()} />
    </div>
  );
};

function known(state: EnvironmentState) {
  switch (state.kind) {
    case 'found':
      return state.environment;
    case 'unreachable':
      return state.last;
    default:
      return undefined;
  }
}
