import { stringifyEntityRef, type Entity } from '@backstage/catalog-model';
import { EntityInfoCard, useEntity } from '@backstage/plugin-catalog-react';
import { ButtonLink } from '@backstage/ui';
import { RiDeleteBin6Line } from '@remixicon/react';
import { ENVIRONMENT_ANNOTATION } from '../annotation';
import { useEnvironment } from '../hooks/useEnvironment';
import { EnvironmentView, Notice } from './EnvironmentView';

/** The state of the entity's database, and what can be done with it. */
export const DatabaseCard = () => {
  const { entity } = useEntity();
  const name = entity.metadata.annotations?.[ENVIRONMENT_ANNOTATION];
  return (
    <EntityInfoCard
      title="Database"
      headerActions={name ? <Retire entity={entity} /> : undefined}
    >
      {name ? (
        <LiveEnvironment name={name} />
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

const LiveEnvironment = ({ name }: { name: string }) => {
  const state = useEnvironment(name);
  return <EnvironmentView name={name} state={state} now={new Date()} />;
};

const Retire = ({ entity }: { entity: Entity }) => {
  const formData = JSON.stringify({ entity: stringifyEntityRef(entity) });
  return (
    <ButtonLink
      data-testid="vdb-retire"
      href={`/create/templates/default/vdb-retire?formData=${encodeURIComponent(formData)}`}
      variant="secondary"
      size="small"
      iconStart={<RiDeleteBin6Line />}
    >
      Retire
    </ButtonLink>
  );
};
