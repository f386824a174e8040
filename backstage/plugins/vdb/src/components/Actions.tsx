import { stringifyEntityRef, type Entity } from '@backstage/catalog-model';
import { Button, ButtonLink, VisuallyHidden } from '@backstage/ui';
import {
  RiBookmarkLine,
  RiCalendarCheckLine,
  RiDeleteBin6Line,
  RiEqualizerLine,
  RiRefreshLine,
} from '@remixicon/react';
import type { Capability } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { useId, type ReactElement } from 'react';
import { words } from '../format';
import styles from './DatabaseCard.module.css';

/** What can be done with a database, in the order in which it is offered. */
const ACTIONS: [Capability['action'], ReactElement][] = [
  ['update', <RiEqualizerLine />],
  ['refresh', <RiRefreshLine />],
  ['extend', <RiCalendarCheckLine />],
  ['bookmark', <RiBookmarkLine />],
  ['retire', <RiDeleteBin6Line />],
];

interface Props {
  entity: Entity;
  /** Absent where the platform has not said it (yet): then a step of the template says what it cannot do. */
  capabilities?: Capability[];
}

/** A button for each thing to do. It opens the template of its name, so the portal's permissions apply. */
export const Actions = ({ entity, capabilities = [] }: Props) => (
  <div className={styles.actions} role="group" aria-label="Actions">
    {ACTIONS.map(([action, icon]) => {
      const told = capabilities.find(one => one.action === action);
      return told && !told.possible ? (
        <Impossible key={action} told={told} icon={icon} />
      ) : (
        <ButtonLink
          key={action}
          data-testid={`vdb-${action}`}
          href={template(action, entity)}
          variant="secondary"
          size="small"
          iconStart={icon}
        >
          {words(action)}
        </ButtonLink>
      );
    })}
  </div>
);

/** Only the reference of the entity: addresses that hold whole forms break. */
function template(action: string, entity: Entity): string {
  const formData = JSON.stringify({ entity: stringifyEntityRef(entity) });
  return `/create/templates/default/vdb-${action}?formData=${encodeURIComponent(formData)}`;
}

/** A disabled button hears no pointer, so what surrounds it says why. */
const Impossible = ({
  told,
  icon,
}: {
  told: Capability;
  icon: ReactElement;
}) => {
  const id = useId();
  const why = [told.reason, told.hint].filter(Boolean).join('; ');
  return (
    <span title={why} data-testid={`vdb-${told.action}`}>
      <Button
        isDisabled
        aria-describedby={id}
        variant="secondary"
        size="small"
        iconStart={icon}
      >
        {words(told.action)}
      </Button>
      <VisuallyHidden id={id}>{why}</VisuallyHidden>
    </span>
  );
};
